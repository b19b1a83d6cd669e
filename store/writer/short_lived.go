package writer

import (
	"context"
	"fmt"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// shortLivedProcess is a process of a snapshot that started and ended since the one before.
type shortLivedProcess struct {
	sample *snapshot.ProcessSample
	ageMS  int32
}

// isShortLived reports whether a process that the previous snapshot does not have started and ended in the snapshot's
// interval. It then cannot be in any other snapshot. After a gap, with an unknown start time, and after the clock was
// set, that is not known, so these processes are stored as those of process lists. So are those with values that the
// series of short-lived processes does not have.
func (p *planner) isShortLived(
	s *snapshot.Snapshot, sample *snapshot.ProcessSample, before *run, intervalMS int64,
) bool {
	begin := max(s.Timestamp-snapshot.Time(intervalMS), before.ts)
	return sample.Ended() && sample.HasIdentity() && intervalMS > 0 &&
		sample.StartedAt > begin && sample.StartedAt < s.Timestamp &&
		sample.Threads == nil && sample.OpenFiles == nil
}

// writeShortLived writes the short-lived processes of the new snapshots: their texts, the series, and the sums by
// minute.
func (w *groupWrite) writeShortLived(ctx context.Context) error {
	texts := newTextSet(w.writer.texts, w.writer.textHashKey, w.now)
	var rows []*newSnapshot
	var batches []schema.ShortLivedBatch
	for i := range w.rows {
		if row := &w.rows[i]; len(row.shortLived) > 0 {
			rows, batches = append(rows, row), append(batches, row.shortLivedBatch(texts))
			w.shortLived += len(row.shortLived)
		}
	}
	if len(batches) == 0 {
		return nil
	}
	if err := texts.resolve(ctx, w.tx); err != nil {
		return err
	}
	w.texts = texts
	sums := make(minuteSums)
	for i := range batches {
		for k := range batches[i].Processes {
			sums.add(&batches[i], &batches[i].Processes[k], rows[i].shortLived[k].sample.Name)
		}
	}
	table := w.writer.backend.ShortLivedTable()
	if err := copyRows(ctx, w.tx, table.Name, table.Columns, &shortLivedRows{table, batches}); err != nil {
		return err
	}
	if err := sums.write(ctx, w.tx); err != nil {
		return fmt.Errorf("add up short-lived processes: %w", err)
	}
	return nil
}

// shortLivedBatch returns the short-lived processes of the snapshot. texts.resolve sets the ids that are not cached.
func (n *newSnapshot) shortLivedBatch(texts *textSet) schema.ShortLivedBatch {
	batch := schema.ShortLivedBatch{
		Machine: n.machine.id, Timestamp: n.snapshot.Timestamp,
		Processes: make([]schema.ShortLived, len(n.shortLived)),
	}
	for i, one := range n.shortLived {
		process := &batch.Processes[i]
		values := one.sample.Values(n.intervalMS)
		*process = schema.ShortLived{
			PID: one.sample.PID, PPID: *one.sample.PPID, AgeMS: one.ageMS, CPUTime: (*int64)(values.CPUTime),
			Memory: values.MemoryUsage, ReadBytes: values.ReadBytes, WriteBytes: values.WriteBytes,
			Exit: one.sample.ExitStatus,
		}
		texts.command(batch.Machine, one.sample.Name, one.sample.CommandLine, process)
		texts.owner(batch.Machine, one.sample.User, one.sample.Cgroup, process)
	}
	return batch
}

// shortLivedTotals returns the columns of snapshots about its short-lived processes.
func (n *newSnapshot) shortLivedTotals() schema.ShortLivedTotals {
	var totals schema.ShortLivedTotals
	for _, one := range n.shortLived {
		totals.Add(one.sample.Values(n.intervalMS).CPUTime)
	}
	return totals
}

// shortLivedRows are the rows of batches in the format of COPY.
type shortLivedRows struct {
	table   *schema.ShortLivedTable
	batches []schema.ShortLivedBatch
}

func (r *shortLivedRows) next(b []byte) ([]byte, bool) {
	if len(r.batches) == 0 {
		return b, false
	}
	b = r.table.AppendCopy(b, &r.batches[0])
	r.batches = r.batches[1:]
	return b, true
}
