package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// newestProcess returns the process with a pid that was sampled last, or ErrNoProcess. Only the last hour of a machine
// is searched for short-lived processes.
func (q *Queries) newestProcess(ctx context.Context, machine int32, pid int32) (*ProcessLifetime, error) {
	started, err := q.newestStart(ctx, machine, pid)
	if err != nil {
		return nil, err
	}
	// A pid belongs to one process at a time, so the one that started last was sampled last.
	shortLived, err := q.newestShortLived(ctx, machine, pid)
	if err == nil && shortLived.StartedAt > started {
		return shortLived, nil
	}
	if err != nil && !errors.Is(err, ErrNoProcess) {
		return nil, err
	}
	return q.lifetime(ctx, machine, pid, started)
}

// newestStart returns the start time of the process with a pid that was sampled last, 0 if that is unknown. It is not
// always the latest start time, because the clock may have been set back.
func (q *Queries) newestStart(ctx context.Context, machine int32, pid int32) (snapshot.Time, error) {
	rows, err := q.pool.Query(ctx, `SELECT id, started_at, last_day FROM (
			SELECT id, started_at, last_day, max(last_day) OVER () AS newest
			FROM processes WHERE machine = $1 AND pid = $2) p
		WHERE last_day = newest ORDER BY started_at DESC NULLS LAST, id DESC`, machine, pid)
	if err != nil {
		return 0, fmt.Errorf("look up the processes of a pid: %w", err)
	}
	var ids []int64
	starts := make(map[int64]snapshot.Time)
	var id int64
	var started pgtype.Timestamptz
	var day time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &started, &day}, func() error {
		ids = append(ids, id)
		starts[id] = snapshot.TimeOf(started.Time)
		return nil
	}); err != nil {
		return 0, fmt.Errorf("look up the processes of a pid: %w", err)
	}
	isOther := func(id int64) bool { return starts[id] != starts[ids[0]] }
	if !slices.ContainsFunc(ids, isOther) {
		return starts[id], nil
	}
	// A sample at midnight is in the last hour of the day before.
	err = q.pool.QueryRow(ctx, `SELECT process FROM process_1h
		WHERE machine = $1 AND process = ANY($2) AND bucket_key >= $3 AND bucket_key < $4
		ORDER BY last_ts DESC, process DESC LIMIT 1`,
		machine, ids, day.Add(-time.Hour), day.AddDate(0, 0, 1)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) { // retention dropped them
		return starts[ids[0]], nil
	}
	if err != nil {
		return 0, fmt.Errorf("look up the newest process of a pid: %w", err)
	}
	return starts[id], nil
}
