package writer

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// copySamples copies the samples of processes and devices of the new snapshots.
func (w *groupWrite) copySamples(ctx context.Context) error {
	if len(w.rows) == 0 && len(w.closings) == 0 {
		return nil
	}
	processes := &processRows{rows: w.rows, closings: w.closings}
	if err := copyRows(ctx, w.tx, "process_samples", schema.SampleColumns, processes); err != nil {
		return err
	}
	w.samples = processes.count
	disks := func(m *snapshot.MachineSnapshot) []snapshot.Disk { return m.Disks }
	if err := copyDevices(ctx, w.tx, schema.Disks, w.rows, disks); err != nil {
		return err
	}
	interfaces := func(m *snapshot.MachineSnapshot) []snapshot.Interface { return m.Interfaces }
	return copyDevices(ctx, w.tx, schema.Interfaces, w.rows, interfaces)
}

// processRows are the rows of process_samples. First come those that close earlier snapshots. Each snapshot has the
// processes that it lists, then those carried forward into it, then those that exited.
type processRows struct {
	closings   []closing
	rows       []newSnapshot
	row, index int // of closings, and then of rows
	count      int
}

func (p *processRows) next(b []byte) ([]byte, bool) {
	for ; len(p.closings) > 0; p.closings, p.index = p.closings[1:], 0 {
		one := &p.closings[0]
		if p.index == len(one.samples) {
			continue
		}
		p.index++
		p.count++
		return one.samples[p.index-1].appendCopy(b, one.ts, one.machine.id, false), true
	}
	for ; p.row < len(p.rows); p.row, p.index = p.row+1, 0 {
		row := &p.rows[p.row]
		for p.index < len(row.refs) && row.refs[p.index] == nil {
			p.index++
		}
		i := p.index
		if i == len(row.refs)+len(row.carried)+len(row.exited) {
			continue
		}
		p.index++
		p.count++
		sample := schema.Sample{
			Timestamp: row.snapshot.Timestamp, Machine: row.machine.id, InFull: row.inFull(),
		}
		switch {
		case i < len(row.refs):
			sample.Process, sample.Weight = row.refs[i].id, row.weights[i]
			sample.Values = row.snapshot.Processes[i].Values(row.intervalMS)
		case i < len(row.refs)+len(row.carried):
			carried := &row.carried[i-len(row.refs)]
			return carried.appendCopy(b, sample.Timestamp, sample.Machine, sample.InFull), true
		default:
			exited := &row.exited[i-len(row.refs)-len(row.carried)]
			sample.Process, sample.Weight = exited.ref.id, exited.weight
			sample.Values.State = schema.StateExited
		}
		return sample.AppendCopy(b), true
	}
	return b, false
}

// appendCopy appends the row of a sample in the format of COPY.
func (c *carriedSample) appendCopy(b []byte, ts snapshot.Time, machine int32, inFull bool) []byte {
	sample := schema.Sample{
		Timestamp: ts, Machine: machine, InFull: inFull, Process: c.running.ref.id, Weight: c.weight,
		Values: c.running.gauges.Values(),
	}
	return sample.AppendCopy(b)
}

// copyDevices copies one row per device of each snapshot.
func copyDevices[D any](
	ctx context.Context, tx pgx.Tx, table *schema.DeviceTable[D], rows []newSnapshot,
	devices func(*snapshot.MachineSnapshot) []D,
) error {
	for i := range rows {
		if len(devices(&rows[i].snapshot.Machine)) > 0 {
			source := &deviceRows[D]{table: table, rows: rows, devices: devices}
			return copyRows(ctx, tx, table.Name, table.Columns, source)
		}
	}
	return nil
}

type deviceRows[D any] struct {
	table      *schema.DeviceTable[D]
	devices    func(*snapshot.MachineSnapshot) []D
	rows       []newSnapshot
	row, index int
	current    schema.DeviceRow[D] // reused, so that rows are not allocated
}

func (d *deviceRows[D]) next(b []byte) ([]byte, bool) {
	for ; d.row < len(d.rows); d.row, d.index = d.row+1, 0 {
		row := &d.rows[d.row]
		devices := d.devices(&row.snapshot.Machine)
		if d.index == len(devices) {
			continue
		}
		d.current = schema.DeviceRow[D]{
			Timestamp: row.snapshot.Timestamp.Std(), Machine: row.machine.id, Device: devices[d.index],
		}
		d.index++
		return d.table.AppendCopy(b, &d.current), true
	}
	return b, false
}
