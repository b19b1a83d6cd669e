package schema

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Snapshot is a row of the table snapshots.
type Snapshot struct {
	Machine      int32
	Timestamp    time.Time
	FullTS       time.Time
	IntervalMS   int64
	ProcessCount int32
	ShortLived   ShortLivedTotals
	// metrics holds the machine's metrics, except for CPU and Temperatures, which SetMetrics and Metrics
	// convert.
	metrics      snapshot.MachineSnapshot
	cpu          snapshot.CPUModes
	temperatures []byte // JSON
	totals       deviceTotals
}

// snapshotColumns lists the columns of the table snapshots: name, type and field. Columns marked
// latest are also in the lists of machines.
var snapshotColumns = []column[Snapshot]{
	field("ts", "timestamptz", func(r *Snapshot) *time.Time { return &r.Timestamp }),
	field("full_ts", "timestamptz", func(r *Snapshot) *time.Time { return &r.FullTS }),
	field("interval_ms", "bigint", func(r *Snapshot) *int64 { return &r.IntervalMS }),
	written("machine", "integer", func(r *Snapshot) int32 { return r.Machine }),
	written("process_count", "integer", func(r *Snapshot) int32 { return r.ProcessCount }),

	latest(float("cpu_usage", func(r *Snapshot) **float64 { return &r.metrics.CPUUsage })),
	latest(float("load1", func(r *Snapshot) **float64 { return &r.metrics.Load1 })),
	latest(float("load5", func(r *Snapshot) **float64 { return &r.metrics.Load5 })),
	latest(float("load15", func(r *Snapshot) **float64 { return &r.metrics.Load15 })),
	latest(integer("uptime_ms", func(r *Snapshot) **int64 { return &r.metrics.UptimeMS })),
	latest(integer("total_ram", func(r *Snapshot) **int64 { return &r.metrics.TotalRAM })),
	latest(integer("used_ram", func(r *Snapshot) **int64 { return &r.metrics.UsedRAM })),
	latest(integer("available_ram", func(r *Snapshot) **int64 { return &r.metrics.AvailableRAM })),
	latest(integer("buffers_ram", func(r *Snapshot) **int64 { return &r.metrics.BuffersRAM })),
	latest(integer("cached_ram", func(r *Snapshot) **int64 { return &r.metrics.CachedRAM })),
	latest(integer("shared_ram", func(r *Snapshot) **int64 { return &r.metrics.SharedRAM })),
	latest(integer("slab_ram", func(r *Snapshot) **int64 { return &r.metrics.SlabRAM })),
	latest(integer("total_swap", func(r *Snapshot) **int64 { return &r.metrics.TotalSwap })),
	latest(integer("used_swap", func(r *Snapshot) **int64 { return &r.metrics.UsedSwap })),
	latest(integer("total_disk", func(r *Snapshot) **int64 { return &r.metrics.TotalDisk })),
	latest(integer("used_disk", func(r *Snapshot) **int64 { return &r.metrics.UsedDisk })),
	latest(integer("available_disk", func(r *Snapshot) **int64 { return &r.metrics.AvailableDisk })),
	latest(float("fullest_disk_usage", func(r *Snapshot) **float64 { return &r.metrics.FullestDiskUsage })),
	latest(encoded("fullest_disk", "text", fullestDisk, func(r *Snapshot) *optionalText {
		return (*optionalText)(&r.metrics.FullestDisk)
	})),

	float("cpu_user", func(r *Snapshot) **float64 { return &r.cpu.User }),
	float("cpu_nice", func(r *Snapshot) **float64 { return &r.cpu.Nice }),
	float("cpu_system", func(r *Snapshot) **float64 { return &r.cpu.System }),
	float("cpu_iowait", func(r *Snapshot) **float64 { return &r.cpu.IOWait }),
	float("cpu_irq", func(r *Snapshot) **float64 { return &r.cpu.IRQ }),
	float("cpu_steal", func(r *Snapshot) **float64 { return &r.cpu.Steal }),
	encoded("cores", "smallint[]", coresText, func(r *Snapshot) *[]int16 { return &r.metrics.Cores }),
	encoded("temperatures", "jsonb", temperaturesText, func(r *Snapshot) *[]byte { return &r.temperatures }),

	latest(encoded("stale", "text[]", staleText, func(r *Snapshot) *[]string { return &r.metrics.Stale })),
	integer("unseen_processes", func(r *Snapshot) **int64 { return &r.metrics.UnseenProcesses }),
	integer("dropped_snapshots", func(r *Snapshot) **int64 { return &r.metrics.DroppedSnapshots }),
	integer("clock_jump_ms", func(r *Snapshot) **int64 { return &r.metrics.ClockJumpMS }),

	written("read_bytes", "bigint", func(r *Snapshot) *int64 { return r.totals.read }),
	written("write_bytes", "bigint", func(r *Snapshot) *int64 { return r.totals.written }),
	written("received_bytes", "bigint", func(r *Snapshot) *int64 { return r.totals.received }),
	written("sent_bytes", "bigint", func(r *Snapshot) *int64 { return r.totals.sent }),

	written("short_lived", "integer", func(r *Snapshot) *int32 {
		processes, _ := r.ShortLived.counts()
		return processes
	}),
	written("short_lived_cpu_us", "bigint", func(r *Snapshot) *int64 { return r.ShortLived.cpu }),
	written("short_lived_unknown_cpu", "integer", func(r *Snapshot) *int32 {
		_, unknown := r.ShortLived.counts()
		return unknown
	}),
}

func float(name string, at func(*Snapshot) **float64) column[Snapshot] {
	return field(name, "double precision", at)
}

func integer(name string, at func(*Snapshot) **int64) column[Snapshot] {
	return field(name, "bigint", at)
}

func latest(c column[Snapshot]) column[Snapshot] {
	c.latest = true
	return c
}

// InsertSnapshotsSQL inserts rows unless their (machine, ts) exists, and returns the (machine, ts) of
// those that it inserted. Its arguments are those of InsertSnapshotsArgs. COPY into a temporary table is slower: on
// PostgreSQL 15, a transaction took 2.0 instead of 0.9 ms for one row, and 10.4 instead of 9.1 ms for 200 rows.
var InsertSnapshotsSQL = insertSnapshotsSQL()

func insertSnapshotsSQL() string {
	var values, arrays []string
	for i, c := range snapshotColumns {
		value, elementType := c.name, c.sqlType
		if c.elementType != "" {
			value, elementType = c.name+"::"+c.sqlType, c.elementType
		}
		values = append(values, value)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, elementType))
	}
	names := columnList(snapshotColumns, "", all)
	return "INSERT INTO snapshots (" + names + ") SELECT " + strings.Join(values, ", ") +
		" FROM unnest(" + strings.Join(arrays, ", ") + ") AS u(" + names + ")" +
		" ON CONFLICT (machine, ts) DO NOTHING RETURNING machine, ts"
}

// InsertSnapshotsArgs returns the arguments of InsertSnapshotsSQL: an array per column.
func InsertSnapshotsArgs(rows []Snapshot) []any {
	args := make([]any, len(snapshotColumns))
	for i, c := range snapshotColumns {
		args[i] = c.array(rows)
	}
	return args
}

// SnapshotColumns lists the columns that Dest scans.
var SnapshotColumns = columnList(snapshotColumns, "", readable)

// Dest returns the scan destinations of SnapshotColumns.
func (r *Snapshot) Dest() []any { return destinations(snapshotColumns, r, readable) }

// LatestColumns lists the columns that LatestDest scans, of the table alias s.
var LatestColumns = columnList(snapshotColumns, "s.", isLatest)

// LatestDest returns the scan destinations of LatestColumns.
func (r *Snapshot) LatestDest() []any { return destinations(snapshotColumns, r, isLatest) }

// SetMetrics sets the columns that hold a machine's metrics.
func (r *Snapshot) SetMetrics(m *snapshot.MachineSnapshot) {
	r.metrics = *m
	if m.CPU != nil {
		r.cpu = *m.CPU
	}
	r.totals = totalsOf(m)
	if m.FullestDiskUsage == nil {
		r.metrics.FullestDiskUsage, r.metrics.FullestDisk = fullest(m)
	}
}

// fullest returns the usage and the mount point of the fullest disk that can be written and that answered. Earlier
// agents do not report what is available; for them, it is what is not used.
func fullest(m *snapshot.MachineSnapshot) (usage *float64, mount string) {
	for i := range m.Disks {
		d := &m.Disks[i]
		if d.ReadOnly || d.Used == nil || d.Total == nil || slices.Contains(m.Stale, d.Mount) {
			continue
		}
		available := max(*d.Total-*d.Used, 0)
		if d.Available != nil {
			available = *d.Available
		}
		if *d.Used+available == 0 {
			continue
		}
		percent := math.Round(10_000*float64(*d.Used)/float64(*d.Used+available)) / 100
		if usage == nil || percent > *usage {
			usage, mount = &percent, d.Mount
		}
	}
	return usage, mount
}

// Metrics returns the machine's metrics, without devices.
func (r *Snapshot) Metrics() (snapshot.MachineSnapshot, error) {
	m := r.metrics
	if r.cpu != (snapshot.CPUModes{}) {
		m.CPU = &r.cpu
	}
	var err error
	m.Temperatures, err = parseTemperatures(r.temperatures)
	return m, err
}

// deviceTotals is what all devices of a snapshot transferred, nil where no device reports it. Interfaces that are not
// part of the totals are left out.
type deviceTotals struct{ read, written, received, sent *int64 }

const loopback = "lo"

func totalsOf(m *snapshot.MachineSnapshot) deviceTotals {
	var totals deviceTotals
	add := func(sum **int64, v *int64) {
		if v == nil {
			return
		}
		if *sum == nil {
			*sum = new(int64)
		}
		**sum += *v
	}
	for i := range m.Disks {
		add(&totals.read, m.Disks[i].ReadBytes)
		add(&totals.written, m.Disks[i].WriteBytes)
	}
	for i := range m.Interfaces {
		one := &m.Interfaces[i]
		switch {
		case one.InTotal == nil && one.Name == loopback:
		case one.InTotal == nil || *one.InTotal:
			add(&totals.received, one.ReceivedBytes)
			add(&totals.sent, one.SentBytes)
		case one.ReceivedBytes != nil && one.SentBytes != nil: // it does not leave the machine
			add(&totals.received, &zero)
			add(&totals.sent, &zero)
		}
	}
	return totals
}

// fullestDisk returns the mount point of the fullest disk, nil for none.
func fullestDisk(r *Snapshot) *string {
	if r.metrics.FullestDisk == "" {
		return nil
	}
	return &r.metrics.FullestDisk
}

// staleText returns the stale sources as an SQL array, nil for none.
func staleText(r *Snapshot) *string {
	if len(r.metrics.Stale) == 0 {
		return nil
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(r.metrics.Stale))
	for i, name := range r.metrics.Stale {
		quoted[i] = `"` + quote.Replace(name) + `"`
	}
	return new("{" + strings.Join(quoted, ",") + "}")
}

// coresText returns the percentages of the cores as an SQL array, nil for none.
func coresText(r *Snapshot) *string {
	if len(r.metrics.Cores) == 0 {
		return nil
	}
	text := []byte{'{'}
	for i, percent := range r.metrics.Cores {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(percent), 10)
	}
	return new(string(append(text, '}')))
}

// temperaturesText returns the temperatures by sensor as JSON, nil for none.
func temperaturesText(r *Snapshot) *string {
	if len(r.metrics.Temperatures) == 0 {
		return nil
	}
	bySensor := make(map[string]float64, len(r.metrics.Temperatures))
	for _, t := range r.metrics.Temperatures {
		bySensor[t.Sensor] = t.Celsius
	}
	text, err := json.Marshal(bySensor)
	if err != nil { // cannot happen: validation rejects every value that JSON lacks
		return nil
	}
	return new(string(text))
}

// parseTemperatures is the inverse of temperaturesText. It sorts by sensor.
func parseTemperatures(text []byte) ([]snapshot.Temperature, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var bySensor map[string]float64
	if err := json.Unmarshal(text, &bySensor); err != nil {
		return nil, fmt.Errorf("parse temperatures: %w", err)
	}
	list := make([]snapshot.Temperature, 0, len(bySensor))
	for _, sensor := range slices.Sorted(maps.Keys(bySensor)) {
		list = append(list, snapshot.Temperature{Sensor: sensor, Celsius: bySensor[sensor]})
	}
	return list, nil
}
