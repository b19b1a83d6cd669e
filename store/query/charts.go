package query

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Resolution is the time between the points of a chart.
type Resolution string

// The resolutions. ResolutionRaw returns every snapshot, and the others return rollups.
const (
	ResolutionAuto       Resolution = "auto"
	ResolutionRaw        Resolution = "raw"
	ResolutionMinute     Resolution = "1m"
	ResolutionHour       Resolution = "1h"
	ResolutionThreeHours Resolution = "3h"
	ResolutionDay        Resolution = "1d"
)

// Width returns the length of a bucket, 0 for ResolutionRaw.
func (r Resolution) Width() time.Duration {
	switch r {
	case ResolutionMinute:
		return time.Minute
	case ResolutionHour:
		return time.Hour
	case ResolutionThreeHours:
		return 3 * time.Hour
	case ResolutionDay:
		return 24 * time.Hour
	}
	return 0
}

// MachineResolution returns the finest resolution that is still kept and has at most about 1,500 points
// in the range.
func (q *Queries) MachineResolution(from, to snapshot.Time) Resolution {
	span := to.Sub(from)
	switch {
	case span <= time.Hour && from >= q.Horizon():
		return ResolutionRaw
	case span <= 25*time.Hour && q.isKept("machine_1m", from):
		return ResolutionMinute
	case span <= 62*24*time.Hour && q.isKept("machine_1h", from):
		return ResolutionHour
	case span <= 186*24*time.Hour && q.isKept("machine_3h", from):
		return ResolutionThreeHours
	}
	return ResolutionDay
}

// MachineChart holds the metrics of a machine by column. Entries with the same index belong to the same time bucket or
// snapshot. For a snapshot, average and maximum are equal.
type MachineChart struct {
	Timestamps       []snapshot.Time `json:"timestamps" nullable:"false" doc:"Start of each bucket, or time of each snapshot, oldest first. Buckets without data are left out"`
	Samples          []int64         `json:"samples" nullable:"false" doc:"Snapshots in each bucket"`
	IntervalMS       []int64         `json:"interval_ms" nullable:"false" doc:"Milliseconds that these snapshots cover"`
	CPUUsageAvg      []*float64      `json:"cpu_usage_avg" nullable:"false" doc:"Percent of all cores"`
	CPUUsageMax      []*float64      `json:"cpu_usage_max" nullable:"false"`
	Load1Avg         []*float64      `json:"load1_avg" nullable:"false"`
	Load1Max         []*float64      `json:"load1_max" nullable:"false"`
	Load5Avg         []*float64      `json:"load5_avg" nullable:"false"`
	Load15Avg        []*float64      `json:"load15_avg" nullable:"false"`
	UsedRAMAvg       []*float64      `json:"used_ram_avg" nullable:"false"`
	UsedRAMMax       []*int64        `json:"used_ram_max" nullable:"false"`
	AvailableRAMMin  []*int64        `json:"available_ram_min" nullable:"false"`
	TotalRAM         []*int64        `json:"total_ram" nullable:"false"`
	BuffersRAMAvg    []*float64      `json:"buffers_ram_avg" nullable:"false" doc:"Bytes, like cached_ram_avg, shared_ram_avg and slab_ram_avg. Null if no snapshot reports it"`
	CachedRAMAvg     []*float64      `json:"cached_ram_avg" nullable:"false"`
	SharedRAMAvg     []*float64      `json:"shared_ram_avg" nullable:"false"`
	SlabRAMAvg       []*float64      `json:"slab_ram_avg" nullable:"false"`
	UsedSwapAvg      []*float64      `json:"used_swap_avg" nullable:"false"`
	UsedSwapMax      []*int64        `json:"used_swap_max" nullable:"false"`
	TotalSwap        []*int64        `json:"total_swap" nullable:"false"`
	UsedDiskAvg      []*float64      `json:"used_disk_avg" nullable:"false"`
	UsedDiskMax      []*int64        `json:"used_disk_max" nullable:"false"`
	AvailableDiskMin []*int64        `json:"available_disk_min" nullable:"false"`
	TotalDisk        []*int64        `json:"total_disk" nullable:"false"`
	ProcessCountAvg  []*float64      `json:"process_count_avg" nullable:"false"`
	ProcessCountMax  []*int64        `json:"process_count_max" nullable:"false"`
	ReadBytes        []*int64        `json:"read_bytes" nullable:"false" doc:"Total of all disks in the bucket"`
	WriteBytes       []*int64        `json:"write_bytes" nullable:"false"`
	ReceivedBytes    []*int64        `json:"received_bytes" nullable:"false" doc:"Total in the bucket of the interfaces that are part of the totals"`
	SentBytes        []*int64        `json:"sent_bytes" nullable:"false"`
	ReadMS           []*int64        `json:"read_ms" nullable:"false" doc:"Milliseconds that read_bytes covers: the time of the snapshots that have it. Divide by it to get a rate"`
	WriteMS          []*int64        `json:"write_ms" nullable:"false"`
	ReceivedMS       []*int64        `json:"received_ms" nullable:"false"`
	SentMS           []*int64        `json:"sent_ms" nullable:"false"`
}

// chartColumn maps an expression over the machine rollups to a column of a MachineChart. raw is the expression for it
// over snapshots.
type chartColumn struct {
	name, raw string
	floats    func(*MachineChart) floats
	ints      func(*MachineChart) ints
}

type (
	floats = *[]*float64
	ints   = *[]*int64
)

var chartColumns = []chartColumn{
	{name: "cpu_usage_avg", raw: "cpu_usage", floats: func(c *MachineChart) floats { return &c.CPUUsageAvg }},
	{name: "cpu_usage_max", raw: "cpu_usage", floats: func(c *MachineChart) floats { return &c.CPUUsageMax }},
	{name: "load1_avg", raw: "load1", floats: func(c *MachineChart) floats { return &c.Load1Avg }},
	{name: "load1_max", raw: "load1", floats: func(c *MachineChart) floats { return &c.Load1Max }},
	{name: "load5_avg", raw: "load5", floats: func(c *MachineChart) floats { return &c.Load5Avg }},
	{name: "load15_avg", raw: "load15", floats: func(c *MachineChart) floats { return &c.Load15Avg }},
	{name: "used_ram_avg", raw: "used_ram", floats: func(c *MachineChart) floats { return &c.UsedRAMAvg }},
	{name: "buffers_ram_avg", raw: "buffers_ram", floats: func(c *MachineChart) floats { return &c.BuffersRAMAvg }},
	{name: "cached_ram_avg", raw: "cached_ram", floats: func(c *MachineChart) floats { return &c.CachedRAMAvg }},
	{name: "shared_ram_avg", raw: "shared_ram", floats: func(c *MachineChart) floats { return &c.SharedRAMAvg }},
	{name: "slab_ram_avg", raw: "slab_ram", floats: func(c *MachineChart) floats { return &c.SlabRAMAvg }},
	{name: "used_swap_avg", raw: "used_swap", floats: func(c *MachineChart) floats { return &c.UsedSwapAvg }},
	{name: "used_disk_avg", raw: "used_disk", floats: func(c *MachineChart) floats { return &c.UsedDiskAvg }},
	{name: "process_count_avg", raw: "process_count",
		floats: func(c *MachineChart) floats { return &c.ProcessCountAvg }},
	{name: "used_ram_max", raw: "used_ram", ints: func(c *MachineChart) ints { return &c.UsedRAMMax }},
	{name: "available_ram_min", raw: "available_ram", ints: func(c *MachineChart) ints { return &c.AvailableRAMMin }},
	{name: "total_ram", raw: "total_ram", ints: func(c *MachineChart) ints { return &c.TotalRAM }},
	{name: "used_swap_max", raw: "used_swap", ints: func(c *MachineChart) ints { return &c.UsedSwapMax }},
	{name: "total_swap", raw: "total_swap", ints: func(c *MachineChart) ints { return &c.TotalSwap }},
	{name: "used_disk_max", raw: "used_disk", ints: func(c *MachineChart) ints { return &c.UsedDiskMax }},
	{name: "available_disk_min", raw: "available_disk",
		ints: func(c *MachineChart) ints { return &c.AvailableDiskMin }},
	{name: "total_disk", raw: "total_disk", ints: func(c *MachineChart) ints { return &c.TotalDisk }},
	{name: "process_count_max", raw: "process_count", ints: func(c *MachineChart) ints { return &c.ProcessCountMax }},
	{name: "read_bytes", raw: "read_bytes", ints: func(c *MachineChart) ints { return &c.ReadBytes }},
	{name: "write_bytes", raw: "write_bytes", ints: func(c *MachineChart) ints { return &c.WriteBytes }},
	{name: "received_bytes", raw: "received_bytes", ints: func(c *MachineChart) ints { return &c.ReceivedBytes }},
	{name: "sent_bytes", raw: "sent_bytes", ints: func(c *MachineChart) ints { return &c.SentBytes }},
	covered("read", func(c *MachineChart) ints { return &c.ReadMS }),
	covered("write", func(c *MachineChart) ints { return &c.WriteMS }),
	covered("received", func(c *MachineChart) ints { return &c.ReceivedMS }),
	covered("sent", func(c *MachineChart) ints { return &c.SentMS }),
}

// covered returns the column of the time that an amount of bytes covers.
func covered(amount string, at func(*MachineChart) ints) chartColumn {
	raw := fmt.Sprintf("CASE WHEN %s_bytes IS NOT NULL THEN interval_ms END", amount)
	name := fmt.Sprintf("CASE WHEN %[1]s_bytes IS NOT NULL THEN coalesce(%[1]s_ms, interval_ms) END", amount)
	return chartColumn{name: name, raw: raw, ints: at}
}

// read appends at most limit rows. more reports whether there are more.
func (c *MachineChart) read(rows pgx.Rows, limit int) (more bool, err error) {
	defer rows.Close()
	c.Timestamps, c.Samples, c.IntervalMS = []snapshot.Time{}, []int64{}, []int64{}
	var at time.Time
	var samples, interval int64
	dest := []any{&at, &samples, &interval}
	var appends []func() // each appends the scanned value of a column
	for _, column := range chartColumns {
		if column.floats != nil {
			list, value := column.floats(c), new(*float64)
			*list = []*float64{}
			dest = append(dest, value)
			appends = append(appends, func() { *list = append(*list, rounded(*value)) })
		} else {
			list, value := column.ints(c), new(*int64)
			*list = []*int64{}
			dest = append(dest, value)
			appends = append(appends, func() { *list = append(*list, *value) })
		}
	}
	for rows.Next() {
		if len(c.Timestamps) == limit {
			return true, nil
		}
		if err := rows.Scan(dest...); err != nil {
			return false, err
		}
		c.Timestamps = append(c.Timestamps, snapshot.TimeOf(at))
		c.Samples, c.IntervalMS = append(c.Samples, samples), append(c.IntervalMS, interval)
		for _, add := range appends {
			add()
		}
	}
	return false, rows.Err()
}

// rounded rounds an average to three decimals. More digits would only double the size of a chart.
func rounded(v *float64) *float64 {
	if v != nil {
		*v = math.Round(*v*1000) / 1000
	}
	return v
}

// machineChartSQL returns the statement that reads a chart.
func machineChartSQL(resolution Resolution) string {
	var columns []string
	for _, column := range chartColumns {
		switch {
		case resolution != ResolutionRaw:
			columns = append(columns, column.name)
		case column.floats != nil:
			columns = append(columns, column.raw+"::double precision")
		default:
			columns = append(columns, column.raw)
		}
	}
	list := strings.Join(columns, ", ")
	if resolution == ResolutionRaw {
		return `SELECT ts, 1::bigint, interval_ms, ` + list + `
			FROM snapshots WHERE machine = $1 AND ts > $2 AND ts <= $3 ORDER BY ts LIMIT $4`
	}
	return `SELECT bucket, samples, interval_ms, ` + list + ` FROM machine_` + string(resolution) + `
		WHERE machine = $1 AND bucket_key >= $2 AND bucket_key < $3 ORDER BY bucket LIMIT $4`
}

// Chart returns at most limit entries of a machine's chart of (from, to]. The first bucket is the one that starts at or
// before from. more reports whether there are more entries.
func (q *Queries) Chart(
	ctx context.Context, machineID string, from, to snapshot.Time, resolution Resolution, limit int,
) (chart *MachineChart, more bool, err error) {
	defer q.observe("chart", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, false, err
	}
	begin := from.Std()
	if resolution == ResolutionRaw {
		begin = max(from, q.Horizon()).Std()
	} else {
		begin = begin.UTC().Truncate(resolution.Width())
	}
	rows, err := q.pool.Query(ctx, machineChartSQL(resolution), machine, begin, to.Std(), limit+1)
	if err == nil {
		chart = &MachineChart{}
		more, err = chart.read(rows, limit)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read a machine's chart: %w", err)
	}
	return chart, more, nil
}
