package writer

import (
	"context"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// copySamples streams the samples of the new snapshots.
func (w *groupWrite) copySamples(ctx context.Context) error {
	if len(w.rows) == 0 {
		return nil
	}
	samples := &sampleRows{rows: w.rows}
	if err := copyRows(ctx, w.tx, "process_samples",
		"ts, process, cpu_ms, memory_usage, read_bytes, write_bytes, machine, threads, state, in_full, hour, open_files", samples); err != nil {
		return err
	}
	w.samples = samples.count
	disks, nets := 0, 0
	for i := range w.rows {
		disks += len(w.rows[i].snapshot.Machine.Disks)
		nets += len(w.rows[i].snapshot.Machine.Interfaces)
	}
	if disks > 0 {
		if err := copyRows(ctx, w.tx, "disk_samples", "ts, total, used, read_bytes, write_bytes, machine, device, mount", &diskRows{rows: w.rows}); err != nil {
			return err
		}
	}
	if nets > 0 {
		return copyRows(
			ctx, w.tx, "net_samples", "ts, received_bytes, sent_bytes, machine, name", &netRows{rows: w.rows},
		)
	}
	return nil
}

// sampleRows are the rows of process_samples: of each snapshot its processes,
// then those carried into it, then the exits.
type sampleRows struct {
	rows    []newSnapshot
	row, at int
	count   int
}

func (s *sampleRows) next(b []byte) ([]byte, bool) {
	for ; s.row < len(s.rows); s.row, s.at = s.row+1, 0 {
		row := &s.rows[s.row]
		at := s.at
		s.at++
		if at < len(row.refs) {
			s.count++
			return putSample(b, row, at), true
		}
		if at -= len(row.refs); at < len(row.carried) {
			s.count++
			return putCarried(b, row, &row.carried[at]), true
		}
		if at -= len(row.carried); at < len(row.exited) {
			s.count++
			return putExit(b, row, row.exited[at]), true
		}
	}
	return b, false
}

const sampleColumns = 12

func putSample(b []byte, row *newSnapshot, at int) []byte {
	sample := &row.snapshot.Processes[at]
	values := sample.Values(row.intervalMS)
	b = putTime(putRow(b, sampleColumns), row.snapshot.Timestamp)
	b = putInt8(b, row.refs[at].id)
	b = putInt8Or(b, values.CPUMS)
	b = putInt8Or(b, values.MemoryUsage)
	b = putInt8Or(b, values.ReadBytes)
	b = putInt8Or(b, values.WriteBytes)
	b = putInt4(b, row.machine.id)
	b = putInt4Or(b, values.Threads)
	if values.State == "" {
		b = putNull(b)
	} else {
		b = putText(b, values.State)
	}
	return putInt4Or(putWhere(b, row), values.OpenFiles)
}

// putCarried writes a process that spent nothing and kept its gauges.
func putCarried(b []byte, row *newSnapshot, one *runningProcess) []byte {
	orNull := func(b []byte, is known, v int64) []byte {
		if one.gauges.known&is == 0 {
			return putNull(b)
		}
		return putInt8(b, v)
	}
	b = putTime(putRow(b, sampleColumns), row.snapshot.Timestamp)
	b = putInt8(b, one.ref.id)
	b = orNull(b, knownCPU, 0)
	b = orNull(b, knownMemory, one.gauges.memory)
	b = orNull(b, knownRead, 0)
	b = orNull(b, knownWrite, 0)
	b = putInt4(b, row.machine.id)
	if one.gauges.known&knownThreads == 0 {
		b = putNull(b)
	} else {
		b = putInt4(b, one.gauges.threads)
	}
	if one.gauges.state == 0 {
		b = putNull(b)
	} else {
		b = append(b, 0, 0, 0, 1, one.gauges.state)
	}
	b = putWhere(b, row)
	if one.gauges.known&knownFiles == 0 {
		return putNull(b)
	}
	return putInt4(b, one.gauges.files)
}

func putExit(b []byte, row *newSnapshot, ref *processRef) []byte {
	b = putTime(putRow(b, sampleColumns), row.snapshot.Timestamp)
	b = putInt8(b, ref.id)
	b = putNull(putNull(putNull(putNull(b))))
	b = putInt4(b, row.machine.id)
	b = putText(putNull(b), schema.StateExited)
	return putNull(putWhere(b, row))
}

func putWhere(b []byte, row *newSnapshot) []byte {
	return putInt4(putBool(b, row.inFull()), hourOf(row.snapshot.Timestamp))
}

// diskRows are the rows of disk_samples.
type diskRows struct {
	rows    []newSnapshot
	row, at int
}

func (s *diskRows) next(b []byte) ([]byte, bool) {
	for ; s.row < len(s.rows); s.row, s.at = s.row+1, 0 {
		row := &s.rows[s.row]
		if s.at == len(row.snapshot.Machine.Disks) {
			continue
		}
		d := &row.snapshot.Machine.Disks[s.at]
		s.at++
		b = putTime(putRow(b, 8), row.snapshot.Timestamp)
		b = putInt8Or(putInt8Or(b, d.Total), d.Used)
		b = putInt8Or(putInt8Or(b, d.ReadBytes), d.WriteBytes)
		return putText(putText(putInt4(b, row.machine.id), d.Device), d.Mount), true
	}
	return b, false
}

// netRows are the rows of net_samples.
type netRows struct {
	rows    []newSnapshot
	row, at int
}

func (s *netRows) next(b []byte) ([]byte, bool) {
	for ; s.row < len(s.rows); s.row, s.at = s.row+1, 0 {
		row := &s.rows[s.row]
		if s.at == len(row.snapshot.Machine.Interfaces) {
			continue
		}
		n := &row.snapshot.Machine.Interfaces[s.at]
		s.at++
		b = putTime(putRow(b, 5), row.snapshot.Timestamp)
		b = putInt8Or(putInt8Or(b, n.ReceivedBytes), n.SentBytes)
		return putText(putInt4(b, row.machine.id), n.Name), true
	}
	return b, false
}

// totals sums up what the devices of a snapshot moved in its interval; nil where
// none of them tells. What a machine sends to itself is left out.
func totals(m *snapshot.MachineSnapshot) (read, written, received, sent *int64) {
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
		add(&read, m.Disks[i].ReadBytes)
		add(&written, m.Disks[i].WriteBytes)
	}
	for i := range m.Interfaces {
		if m.Interfaces[i].Name == loopback {
			continue
		}
		add(&received, m.Interfaces[i].ReceivedBytes)
		add(&sent, m.Interfaces[i].SentBytes)
	}
	return read, written, received, sent
}

// loopback is the interface by which a machine talks to itself.
const loopback = "lo"
