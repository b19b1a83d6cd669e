package writer

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// copySamples copies the samples of processes and devices of the new snapshots.
func (w *groupWrite) copySamples(ctx context.Context) error {
	if len(w.rows) == 0 {
		return nil
	}
	processes := &processRows{rows: w.rows}
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

// processRows are the rows of process_samples. Each snapshot has the processes that it lists, then
// those carried forward into it, then those that exited.
type processRows struct {
	rows       []newSnapshot
	row, index int
	count      int
}

func (p *processRows) next(b []byte) ([]byte, bool) {
	for ; p.row < len(p.rows); p.row, p.index = p.row+1, 0 {
		row := &p.rows[p.row]
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
			sample.Process = row.refs[i].id
			sample.Values = row.snapshot.Processes[i].Values(row.intervalMS)
		case i < len(row.refs)+len(row.carried):
			carried := &row.carried[i-len(row.refs)]
			sample.Process, sample.Values = carried.ref.id, carried.gauges.Values()
		default:
			sample.Process = row.exited[i-len(row.refs)-len(row.carried)].id
			sample.Values.State = schema.StateExited
		}
		return sample.AppendCopy(b), true
	}
	return b, false
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
