package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// trendWindow divides a window (from, to] into TrendPoints parts, and the intervals of snapshots into these parts. The
// last snapshot can be after the window.
type trendWindow struct {
	from, to  snapshot.Time
	snapshots []trendSnapshot
	// measured is how much time snapshots cover in each part, in milliseconds.
	measured [TrendPoints]float64
	// Each entry of part and share is a share of a snapshot's interval in a part.
	part  []int32
	share []float64
}

// trendSnapshot is a snapshot in a trendWindow.
type trendSnapshot struct {
	at, full time.Time // full is the start of its run
	interval float64   // in milliseconds
	// Its shares are those from first until last of the window.
	first, last int
}

// began returns the start of the interval.
func (s *trendSnapshot) began() time.Time {
	return s.at.Add(-time.Duration(s.interval) * time.Millisecond)
}

// width returns the length of a part in milliseconds.
func (w *trendWindow) width() float64 { return float64(w.to-w.from) / TrendPoints }

// add adds a snapshot.
func (w *trendWindow) add(at, full time.Time, intervalMS int64) {
	interval, end := float64(intervalMS), float64(snapshot.TimeOf(at)-w.from)
	begin, before := max(0, end-interval), len(w.part)
	for part := int(begin / w.width()); part < TrendPoints && float64(part)*w.width() < end; part++ {
		first, last := max(begin, float64(part)*w.width()), min(end, float64(part+1)*w.width())
		if last <= first {
			continue
		}
		// The sum can exceed the part: after a clock is set back, timestamps go slower than time.
		w.measured[part] += last - first
		w.part, w.share = append(w.part, int32(part)), append(w.share, (last-first)/interval)
	}
	w.snapshots = append(w.snapshots, trendSnapshot{at, full, interval, before, len(w.part)})
}

// lifetime is the time from the start of a process until its last sample if it has ended.
type lifetime struct{ started, ended snapshot.Time }

// lifetimeOf returns the lifetime of a process. ended is zero if its end is unknown or after the window.
func (w *trendWindow) lifetimeOf(key snapshot.ProcessKey, ended time.Time) lifetime {
	if ended.IsZero() {
		return lifetime{key.StartedAt, snapshot.TimeOf(w.snapshots[len(w.snapshots)-1].at)}
	}
	return lifetime{key.StartedAt, snapshot.TimeOf(ended)}
}

// overlap returns how much of share k of a snapshot is in a lifetime, in milliseconds.
func (w *trendWindow) overlap(one *trendSnapshot, k int, life lifetime) float64 {
	end := float64(snapshot.TimeOf(one.at) - w.from)
	begin := max(0, end-one.interval, float64(w.part[k])*w.width())
	last := min(begin+w.share[k]*one.interval, float64(life.ended-w.from))
	return max(last-max(begin, float64(life.started-w.from)), 0)
}

// covered returns how much time of a lifetime snapshots cover in each part, in milliseconds.
func (w *trendWindow) covered(life lifetime) (ms [TrendPoints]float64) {
	if life.started <= w.from && life.ended >= snapshot.TimeOf(w.snapshots[len(w.snapshots)-1].at) {
		return w.measured
	}
	for i := range w.snapshots {
		one := &w.snapshots[i]
		for k := one.first; k < one.last; k++ {
			ms[w.part[k]] += w.overlap(one, k, life)
		}
	}
	return ms
}

// find returns the index of the first snapshot that is not before a time.
func (w *trendWindow) find(at time.Time) int {
	i, _ := slices.BinarySearchFunc(w.snapshots, at, func(one trendSnapshot, at time.Time) int {
		return one.at.Compare(at)
	})
	return i
}

// at returns the snapshot with a time, or nil if there is none.
func (w *trendWindow) at(at time.Time) *trendSnapshot {
	if i := w.find(at); i < len(w.snapshots) && w.snapshots[i].at.Equal(at) {
		return &w.snapshots[i]
	}
	return nil
}

// trendIntervalsSQL reads the snapshots of a window, and the next one with an interval, which can begin in the window.
const trendIntervalsSQL = `SELECT ts, full_ts, interval_ms FROM snapshots WHERE machine = $1 AND ts > $2 AND ts <= $3
	UNION ALL (SELECT ts, full_ts, interval_ms FROM snapshots
		WHERE machine = $1 AND ts > $3 AND ts <= $4 AND interval_ms > 0 ORDER BY ts LIMIT 1)
	ORDER BY ts`

// trendWindow reads the intervals of a machine's snapshots that overlap a window.
func (q *Queries) trendWindow(ctx context.Context, machine int32, from, to snapshot.Time) (*trendWindow, error) {
	w := &trendWindow{from: from, to: to}
	rows, err := q.pool.Query(ctx, trendIntervalsSQL, machine, from.Std(), to.Std(),
		to.Add(snapshot.MaxIntervalMS*time.Millisecond).Std())
	if err != nil {
		return nil, fmt.Errorf("read the intervals of a trend: %w", err)
	}
	var at, full time.Time
	var interval int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &full, &interval}, func() error {
		if snapshot.TimeOf(at).Add(-time.Duration(interval)*time.Millisecond) < to {
			w.add(at, full, interval)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the intervals of a trend: %w", err)
	}
	return w, nil
}
