package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// stateExited marks the sample of a process that is gone, and spent nothing more;
// snapshot.StateEnded one that tells what it spent last.
const stateExited = "exited"

// isGone reports whether a process with such a sample is in no list from there on.
func isGone(state string) bool { return state == stateExited || state == snapshot.StateEnded }

// resolveProcesses gives every new reference its row in processes: the one that
// is there, or a new one. No other writer can add the same in between, because
// the machines' rows are locked.
func (w *groupWrite) resolveProcesses(ctx context.Context) error {
	if err := w.findProcesses(ctx); err != nil {
		return fmt.Errorf("find processes: %w", err)
	}
	if err := w.insertProcesses(ctx); err != nil {
		return fmt.Errorf("insert processes: %w", err)
	}
	ids := make([]int64, 0, len(w.touched))
	days := make([]time.Time, 0, len(w.touched))
	for ref, day := range w.touched {
		if ref.id != 0 && ref.day < day {
			ids = append(ids, ref.id)
			days = append(days, time.Unix(int64(day)*86400, 0).UTC())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := w.tx.Exec(ctx, `UPDATE processes p SET last_day = u.day FROM unnest($1::bigint[], $2::date[]) u(id, day)
		WHERE p.id = u.id AND p.last_day < u.day`, ids, days); err != nil {
		return fmt.Errorf("note when processes were seen: %w", err)
	}
	return nil
}

// newRef is a reference without a row yet, with the sample that says what it is.
type newRef struct {
	key    refKey
	ref    *processRef
	sample *snapshot.ProcessSample
	day    time.Time
}

// column turns a list into one column of it, for unnest.
func column[T any](list []newRef, of func(newRef) T) []T {
	values := make([]T, len(list))
	for i := range list {
		values[i] = of(list[i])
	}
	return values
}

// keyColumns are machine, pid, identity and start time.
func keyColumns(list []newRef) []any {
	return []any{
		column(list, func(n newRef) int32 { return n.key.machine }),
		column(list, func(n newRef) int32 { return n.key.key.PID }),
		column(list, func(n newRef) int64 { return n.key.identity }),
		column(list, func(n newRef) *time.Time { return nullTime(n.key.key.StartedAt) }),
	}
}

// findProcesses looks the references up, and keeps retention from removing what
// it finds before the commit names it anew.
func (w *groupWrite) findProcesses(ctx context.Context) error {
	if len(w.fresh) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, `
		SELECT p.machine, p.pid, p.identity, p.started_at, p.id, p.last_day
		FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::timestamptz[]) u(machine, pid, identity, started_at)
		JOIN processes p ON p.machine = u.machine AND p.pid = u.pid AND p.identity = u.identity
			AND p.started_at IS NOT DISTINCT FROM u.started_at
		FOR KEY SHARE OF p`, keyColumns(w.fresh)...)
	if err != nil {
		return err
	}
	return w.resolve(rows)
}

func (w *groupWrite) insertProcesses(ctx context.Context) error {
	missing := slices.DeleteFunc(w.fresh, func(n newRef) bool { return n.ref.id != 0 })
	if len(missing) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, `
		INSERT INTO processes (machine, pid, identity, started_at, ppid, name, command_line, user_name, last_day, cgroup)
		SELECT * FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::timestamptz[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::date[], $10::text[])
		RETURNING machine, pid, identity, started_at, id, last_day`,
		append(keyColumns(missing),
			column(missing, func(n newRef) int32 { return *n.sample.PPID }),
			column(missing, func(n newRef) string { return n.sample.Name }),
			column(missing, func(n newRef) string { return n.sample.CommandLine }),
			column(missing, func(n newRef) string { return n.sample.User }),
			column(missing, func(n newRef) time.Time { return n.day }),
			column(missing, func(n newRef) string { return n.sample.Cgroup }))...)
	if err != nil {
		return err
	}
	return w.resolve(rows)
}

// resolve gives the references that the rows name their ids.
func (w *groupWrite) resolve(rows pgx.Rows) error {
	_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		key, id, day, err := scanRef(row)
		if ref := w.newRefs[key]; ref != nil {
			ref.id, ref.day = id, day
		}
		return struct{}{}, err
	})
	return err
}

func scanRef(row pgx.CollectableRow) (key refKey, id int64, day int32, err error) {
	var started pgtype.Timestamptz
	var lastDay time.Time
	err = row.Scan(&key.machine, &key.key.PID, &key.identity, &started, &id, &lastDay)
	key.key.StartedAt = snapshot.TimeOf(started.Time)
	return key, id, int32(lastDay.Unix() / 86400), err
}

// insertSnapshots inserts the instants and keeps only the rows that were not
// there: the key of snapshots is the judge of what is a duplicate.
func (w *groupWrite) insertSnapshots(ctx context.Context) error {
	if len(w.rows) == 0 {
		return nil
	}
	columns := newSnapshotColumns(w.rows)
	rows, err := w.tx.Query(ctx, insertSnapshotsSQL, columns.args()...)
	if err != nil {
		return fmt.Errorf("insert snapshots: %w", err)
	}
	type instant struct {
		machine int32
		ts      snapshot.Time
	}
	inserted := make(map[instant]bool, len(w.rows))
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var at instant
		var ts time.Time
		err := row.Scan(&at.machine, &ts)
		at.ts = snapshot.TimeOf(ts)
		inserted[at] = true
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("insert snapshots: %w", err)
	}
	kept := w.rows[:0]
	for _, row := range w.rows {
		ack := &w.outcomes[row.batch].Ack
		if !inserted[instant{row.machine.id, row.snapshot.Timestamp}] {
			ack.Duplicates++
			continue
		}
		ack.Stored++
		kept = append(kept, row)
		w.newest[row.machine.machineID] = max(w.newest[row.machine.machineID], row.snapshot.Timestamp)
	}
	w.rows = kept
	return nil
}

const insertSnapshotsSQL = `
	INSERT INTO snapshots (machine, ts, full_ts, interval_ms, process_count, cpu_usage, load1, load5, load15, uptime_ms,
		total_ram, used_ram, available_ram, total_swap, used_swap, total_disk, used_disk, available_disk,
		read_bytes, write_bytes, received_bytes, sent_bytes, unseen_processes, dropped_snapshots, clock_jump_ms,
		cpu_user, cpu_nice, cpu_system, cpu_iowait, cpu_irq, cpu_steal, cores, temperatures)
	SELECT a, b, c, d, e, f1, f2, f3, f4, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12, i13, i14, i15, i16, m1, m2, m3, m4, m5, m6, cores::smallint[], temperatures::jsonb
	FROM unnest($1::integer[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::integer[],
		$6::double precision[], $7::double precision[], $8::double precision[], $9::double precision[], $10::bigint[],
		$11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],
		$19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[],
		$26::double precision[], $27::double precision[], $28::double precision[], $29::double precision[], $30::double precision[], $31::double precision[],
		$32::text[], $33::text[])
		AS u(a, b, c, d, e, f1, f2, f3, f4, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12, i13, i14, i15, i16, m1, m2, m3, m4, m5, m6, cores, temperatures)
	ON CONFLICT (machine, ts) DO NOTHING
	RETURNING machine, ts`

// snapshotColumns is rows of snapshots turned into columns, for unnest.
type snapshotColumns struct {
	machines, counts []int32
	ts, full         []time.Time
	intervals        []int64
	floats           [4][]*float64
	ints             [16][]*int64
	modes            [6][]*float64
	cores            []*string // as arrays are written
	temperatures     []*string // JSON
}

func newSnapshotColumns(rows []newSnapshot) *snapshotColumns {
	c := &snapshotColumns{}
	for i := range rows {
		row := &rows[i]
		m := &row.snapshot.Machine
		c.machines = append(c.machines, row.machine.id)
		c.counts = append(c.counts, int32(row.processes))
		c.ts = append(c.ts, row.snapshot.Timestamp.Std())
		c.full = append(c.full, row.fullTS.Std())
		c.intervals = append(c.intervals, row.intervalMS)
		for k, v := range []*float64{m.CPUUsage, m.Load1, m.Load5, m.Load15} {
			c.floats[k] = append(c.floats[k], v)
		}
		read, written, received, sent := totals(m)
		for k, v := range []*int64{m.UptimeMS, m.TotalRAM, m.UsedRAM, m.AvailableRAM, m.TotalSwap, m.UsedSwap, m.TotalDisk, m.UsedDisk, m.AvailableDisk,
			read, written, received, sent, m.UnseenProcesses, m.DroppedSnapshots, m.ClockJumpMS} {
			c.ints[k] = append(c.ints[k], v)
		}
		cpu := m.CPU
		if cpu == nil {
			cpu = &snapshot.CPUModes{}
		}
		for k, v := range []*float64{cpu.User, cpu.Nice, cpu.System, cpu.IOWait, cpu.IRQ, cpu.Steal} {
			c.modes[k] = append(c.modes[k], v)
		}
		c.cores = append(c.cores, coresText(m.Cores))
		c.temperatures = append(c.temperatures, temperaturesText(m.Temperatures))
	}
	return c
}

func (c *snapshotColumns) args() []any {
	args := []any{c.machines, c.ts, c.full, c.intervals, c.counts}
	for _, column := range c.floats {
		args = append(args, column)
	}
	for _, column := range c.ints {
		args = append(args, column)
	}
	for _, column := range c.modes {
		args = append(args, column)
	}
	return append(args, c.cores, c.temperatures)
}

// coresText writes an array of SQL; nil for none.
func coresText(cores []int16) *string {
	if len(cores) == 0 {
		return nil
	}
	text := []byte{'{'}
	for i, percent := range cores {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(percent), 10)
	}
	return new(string(append(text, '}')))
}

// temperaturesText writes degrees by sensor as JSON; nil for none.
func temperaturesText(list []snapshot.Temperature) *string {
	if len(list) == 0 {
		return nil
	}
	bySensor := make(map[string]float64, len(list))
	for _, t := range list {
		bySensor[t.Sensor] = t.Celsius
	}
	text, err := json.Marshal(bySensor)
	if err != nil { // no text or number that is valid in a snapshot fails
		return nil
	}
	return new(string(text))
}

// temperaturesOf reads what temperaturesText wrote, in the order of the sensors' names.
func temperaturesOf(text []byte) ([]snapshot.Temperature, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var bySensor map[string]float64
	if err := json.Unmarshal(text, &bySensor); err != nil {
		return nil, fmt.Errorf("read temperatures: %w", err)
	}
	list := make([]snapshot.Temperature, 0, len(bySensor))
	for _, sensor := range slices.Sorted(maps.Keys(bySensor)) {
		list = append(list, snapshot.Temperature{Sensor: sensor, Celsius: bySensor[sensor]})
	}
	return list, nil
}

func nullTime(t snapshot.Time) *time.Time {
	if t == 0 {
		return nil
	}
	std := t.Std()
	return &std
}
