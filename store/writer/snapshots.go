package writer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

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
		c.cores = append(c.cores, schema.CoresText(m.Cores))
		c.temperatures = append(c.temperatures, schema.TemperaturesText(m.Temperatures))
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
