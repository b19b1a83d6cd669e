package writer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// insertSnapshots inserts the planned rows and removes the duplicates from w.rows. The primary key of
// snapshots decides which rows are duplicates.
func (w *groupWrite) insertSnapshots(ctx context.Context) error {
	if len(w.rows) == 0 {
		return nil
	}
	list := make([]schema.Snapshot, len(w.rows))
	for i := range w.rows {
		row := &w.rows[i]
		list[i] = schema.Snapshot{
			Machine: row.machine.id, Timestamp: row.snapshot.Timestamp.Std(), FullTS: row.fullTS.Std(),
			IntervalMS: row.intervalMS, ProcessCount: int32(row.processes), ShortLived: row.shortLivedTotals(),
		}
		list[i].SetMetrics(&row.snapshot.Machine)
	}
	rows, err := w.tx.Query(ctx, schema.InsertSnapshotsSQL, schema.InsertSnapshotsArgs(list)...)
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
		ack := &w.results[row.batch].Ack
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
