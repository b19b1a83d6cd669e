package writer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// closeBatch is the number of machines that one transaction closes.
const closeBatch = 100

// CloseSilent closes the last snapshots of machines that have sent none since the end of its hour, if that is at or
// before a time. A machine that still sends snapshots closes the hour with the first one after it. Without this, the
// rollups of the hour would lack the time since the last samples of idle processes.
func (w *Writer) CloseSilent(ctx context.Context, hour time.Time) error {
	for {
		n, err := w.closeSome(ctx, hour)
		if err != nil {
			return fmt.Errorf("close the last snapshots of silent machines: %w", err)
		}
		if n < closeBatch {
			return nil
		}
	}
}

func (w *Writer) closeSome(ctx context.Context, hour time.Time) (closed int, err error) {
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := shortenLockTimeout(ctx, tx); err != nil {
			return err
		}
		group := &groupWrite{writer: w, tx: tx, now: w.now()}
		rows, err := tx.Query(ctx, `SELECT id, last_snapshot FROM machines
			WHERE last_snapshot <= $1 AND closed_snapshot IS DISTINCT FROM last_snapshot
			ORDER BY machine_id LIMIT $2 FOR NO KEY UPDATE`, hour, closeBatch)
		if err != nil {
			return err
		}
		var machine int32
		var last time.Time
		var machines []*machineRow
		if _, err := pgx.ForEachRow(rows, []any{&machine, &last}, func() error {
			machines = append(machines, &machineRow{id: machine, lastSnapshot: snapshot.TimeOf(last)})
			return nil
		}); err != nil {
			return err
		}
		if len(machines) > 0 {
			if err := group.lockAcceptFrom(ctx); err != nil {
				return err
			}
		}
		for _, one := range machines {
			if one.lastSnapshot < group.acceptFrom {
				continue
			}
			full, err := group.fullOf(ctx, one.id, one.lastSnapshot)
			if err != nil {
				return err
			}
			if full == 0 { // its rows were dropped
				continue
			}
			r, err := group.loadRun(ctx, one.id, full, one.lastSnapshot)
			if err != nil {
				return err
			}
			group.closings = append(group.closings, closing{one, r.ts, r.close()})
		}
		if err := group.copySamples(ctx); err != nil {
			return err
		}
		if err := group.markHoursDirty(ctx); err != nil {
			return err
		}
		closed = len(machines)
		ids := make([]int32, len(machines))
		for i := range machines {
			ids[i] = machines[i].id
		}
		_, err = tx.Exec(ctx, `UPDATE machines SET closed_snapshot = last_snapshot WHERE id = ANY($1)`, ids)
		return err
	})
	return closed, err
}
