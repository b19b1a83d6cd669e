package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// unknownSQL reads the samples of all identities of processes, in order. At the same time, the last one is valid.
const unknownSQL = `SELECT p.pid, p.started_at, s.ts,
		coalesce(s.cpu_us, s.cpu_ms) IS NULL AND s.state IS DISTINCT FROM 'exited',
		coalesce(s.state IN ('exited', 'X'), false)
	FROM (SELECT DISTINCT i.id, i.pid, i.started_at
		FROM (SELECT machine, pid, started_at FROM processes WHERE id = ANY($4) OFFSET 0) k
		CROSS JOIN LATERAL (SELECT id, pid, started_at FROM processes WHERE machine = k.machine AND pid = k.pid
			AND started_at IS NOT DISTINCT FROM k.started_at OFFSET 0) i) p
	JOIN process_samples s ON s.process = p.id
	WHERE s.machine = $1 AND s.ts >= $2 AND s.ts <= $3
	ORDER BY p.pid, p.started_at, s.ts, (s.state = 'exited') DESC NULLS LAST`

// unknownSpan is a time in which the CPU time of a process is unknown. It begins with a sample and ends before the next
// one of the process, or with its run.
type unknownSpan struct {
	key   snapshot.ProcessKey
	from  time.Time
	until time.Time // zero for the end of the run
}

// unknownTime returns the time in each part of a window in which the CPU time of processes is unknown, in milliseconds.
// A snapshot that leaves a process out is unknown too if the last sample of the process in its run is.
func (q *Queries) unknownTime(
	ctx context.Context, machine int32, w *trendWindow, spent *spentTime,
) (map[snapshot.ProcessKey]*[TrendPoints]float64, error) {
	if len(spent.unknown) == 0 {
		return nil, nil
	}
	end := spent.last
	for _, one := range w.snapshots {
		if !one.full.After(spent.last) {
			end = one.at
		}
	}
	rows, err := q.pool.Query(ctx, unknownSQL, machine, spent.first, end, slices.Collect(maps.Keys(spent.unknown)))
	if err != nil {
		return nil, fmt.Errorf("read unknown CPU times of a trend: %w", err)
	}
	unknown := make(map[snapshot.ProcessKey]*[TrendPoints]float64)
	var span *unknownSpan
	var pid int32
	var started pgtype.Timestamptz
	var at time.Time
	var isUnknown, isGone bool
	if _, err := pgx.ForEachRow(rows, []any{&pid, &started, &at, &isUnknown, &isGone}, func() error {
		key := snapshot.ProcessKey{PID: pid, StartedAt: snapshot.TimeOf(started.Time)}
		if span != nil {
			if span.key == key && (span.until.IsZero() || at.Before(span.until)) {
				span.until = at
			}
			w.addUnknown(unknown, span)
			span = nil
		}
		if isUnknown {
			span = &unknownSpan{key: key, from: at}
			if isGone {
				span.until = at.Add(time.Millisecond)
			}
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read unknown CPU times of a trend: %w", err)
	}
	if span != nil {
		w.addUnknown(unknown, span)
	}
	return unknown, nil
}

// addUnknown adds a span in which the CPU time of a process is unknown.
func (w *trendWindow) addUnknown(unknown map[snapshot.ProcessKey]*[TrendPoints]float64, span *unknownSpan) {
	if unknown[span.key] == nil {
		unknown[span.key] = new([TrendPoints]float64)
	}
	life := w.lifetimeOf(span.key, time.Time{})
	for i := w.find(span.from); i < len(w.snapshots); i++ {
		one := &w.snapshots[i]
		if one.full.After(span.from) || !span.until.IsZero() && !one.at.Before(span.until) {
			return
		}
		for k := one.first; k < one.last; k++ {
			unknown[span.key][w.part[k]] += w.overlap(one, k, life)
		}
	}
}
