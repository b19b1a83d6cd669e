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
	"github.com/snapwatch/snapwatch/store/schema"
)

// ProcessTrend is the CPU usage of a process in percent of one core, in each of TrendPoints equal parts of a window,
// the oldest first. It is the average of the time of a part in which it was measured, and nil if there is none.
type ProcessTrend struct {
	Key      snapshot.ProcessKey
	CPUUsage [TrendPoints]*float64
}

// trendSQL spreads the CPU time of samples over parts of a window. In the interval in which a process started, it used
// none before its start; for that sample, the fourth column is the start. The next columns are the times of the first
// and last sample with an unknown CPU time, of the end of the process, of the sample that says so, and of its last
// other sample.
const trendSQL = `WITH s AS MATERIALIZED (
		SELECT process, ts, ` + schema.CPUTime + ` AS cpu_us, coalesce(state = 'exited', false) AS listed_end,
			coalesce(state IN ('exited', 'X'), false) AS ended
		FROM process_samples WHERE machine = $1 AND ts >= $2 AND ts <= $3
			AND (cpu_us > 0 OR cpu_ms > 0 OR cpu_us IS NULL AND cpu_ms IS NULL OR state IN ('exited', 'X'))
	), p AS MATERIALIZED (
		SELECT id, started_at FROM processes
		WHERE id = ANY(ARRAY(SELECT DISTINCT process FROM s)) AND started_at > $8 AND started_at < $3
	)
	SELECT s.process, w.part, CASE WHEN p.started_at > w.began AND p.started_at < s.ts THEN s.ts END,
		min(p.started_at), sum(s.cpu_us * w.share) / 1000, min(s.ts) FILTER (WHERE s.cpu_us IS NULL AND NOT s.listed_end),
		max(s.ts) FILTER (WHERE s.cpu_us IS NULL AND NOT s.listed_end),
		max(CASE WHEN s.listed_end THEN coalesce(w.began, s.ts) WHEN s.ended THEN s.ts END),
		max(s.ts) FILTER (WHERE s.ended), max(s.ts) FILTER (WHERE NOT s.listed_end)
	FROM s
	LEFT JOIN unnest($4::timestamptz[], $5::timestamptz[], $6::integer[], $7::double precision[])
		w(ts, began, part, share) ON w.ts = s.ts
	LEFT JOIN p ON p.id = s.process
	GROUP BY 1, 2, 3`

// spentTime is the CPU time of processes by identity, in each part of a window.
type spentTime struct {
	ms   map[int64]*[TrendPoints]float64
	ends map[int64]processEnd
	// The CPU time of the identities in unknown is unknown in some samples from first until last.
	unknown     map[int64]bool
	first, last time.Time
}

// processEnd has the times of the end of a process, of the sample that says so, and of its last other sample. They are
// zero if they are unknown.
type processEnd struct{ at, reported, latest time.Time }

// merge sets each time to the later one.
func (e processEnd) merge(other processEnd) processEnd {
	later := func(a, b time.Time) time.Time {
		if a.Before(b) {
			return b
		}
		return a
	}
	return processEnd{later(e.at, other.at), later(e.reported, other.reported), later(e.latest, other.latest)}
}

// time returns when a process ended. It is zero if that is unknown, or if the process was listed again.
func (e processEnd) time() time.Time {
	switch {
	case e.latest.After(e.reported):
		return time.Time{}
	case e.latest.After(e.at): // the interval is a little longer than the time since the sample before
		return e.latest
	}
	return e.at
}

// trendRow is a row of trendSQL.
type trendRow struct {
	process                int64
	part                   *int
	startAt                *time.Time // the sample in whose interval the process started
	started                *time.Time
	ms                     *float64
	unknownFrom, unknownTo *time.Time
	end, endReported       *time.Time
	latest                 *time.Time
}

func (q *Queries) spentTime(ctx context.Context, machine int32, w *trendWindow) (*spentTime, error) {
	first, last := w.snapshots[0].full, w.snapshots[len(w.snapshots)-1].at
	begin := last // of the intervals
	if len(w.began) > 0 {
		begin = slices.MinFunc(w.began, time.Time.Compare)
	}
	rows, err := q.pool.Query(ctx, trendSQL, machine, first, last, w.ts, w.began, w.part, w.share, begin)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	spent := &spentTime{
		ms: make(map[int64]*[TrendPoints]float64), unknown: make(map[int64]bool),
		ends: make(map[int64]processEnd),
	}
	var r trendRow
	columns := []any{
		&r.process, &r.part, &r.startAt, &r.started, &r.ms, &r.unknownFrom, &r.unknownTo,
		&r.end, &r.endReported, &r.latest,
	}
	if _, err := pgx.ForEachRow(rows, columns, func() error {
		spent.add(w, &r)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return spent, nil
}

// add adds a row.
func (s *spentTime) add(w *trendWindow, r *trendRow) {
	if r.part != nil && r.ms != nil && *r.ms > 0 {
		if s.ms[r.process] == nil {
			s.ms[r.process] = new([TrendPoints]float64)
		}
		ms := *r.ms
		if r.startAt != nil {
			ms = w.sinceStart(ms, *r.part, *r.startAt, *r.started)
		}
		s.ms[r.process][*r.part] += ms
	}
	s.ends[r.process] = s.ends[r.process].merge(processEnd{orZero(r.end), orZero(r.endReported), orZero(r.latest)})
	if r.unknownFrom == nil {
		return
	}
	if len(s.unknown) == 0 || r.unknownFrom.Before(s.first) {
		s.first = *r.unknownFrom
	}
	if r.unknownTo.After(s.last) {
		s.last = *r.unknownTo
	}
	s.unknown[r.process] = true
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// sinceStart corrects the CPU time of the sample in whose interval a process started. The time in a part was spread
// over the whole interval. All of it is after the start.
func (w *trendWindow) sinceStart(ms float64, part int, at, started time.Time) float64 {
	one := &w.snapshots[w.find(at)]
	life := lifetime{snapshot.TimeOf(started), snapshot.TimeOf(at)}
	for k := one.first; k < one.last; k++ {
		if int(w.part[k]) == part {
			return ms / w.share[k] * w.overlap(one, k, life) / float64(life.ended-life.started)
		}
	}
	return 0
}

// ProcessTrends returns the trend of each process of a machine in the window (from, to]. It leaves out
// processes that used no CPU time.
func (q *Queries) ProcessTrends(ctx context.Context, machineID string, from, to snapshot.Time) ([]ProcessTrend, error) {
	defer q.observe("process_trends", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, err
	}
	from = max(from, q.Horizon())
	if from >= to {
		return nil, nil
	}
	window, err := q.trendWindow(ctx, machine, from, to)
	if err != nil || len(window.snapshots) == 0 {
		return nil, err
	}
	spent, err := q.spentTime(ctx, machine, window)
	if err != nil || len(spent.ms) == 0 {
		return nil, err
	}
	unknown, err := q.unknownTime(ctx, machine, window, spent)
	if err != nil {
		return nil, err
	}
	return q.nameTrends(ctx, spent, unknown, window)
}

// trendIdentity is an identity of a process in a trend.
type trendIdentity struct {
	id  int64
	key snapshot.ProcessKey
}

// nameTrends adds the keys of the processes. A join would look up a process for each point, and double
// the time of the query.
func (q *Queries) nameTrends(
	ctx context.Context, spent *spentTime, unknown map[snapshot.ProcessKey]*[TrendPoints]float64, w *trendWindow,
) ([]ProcessTrend, error) {
	ids := slices.Collect(maps.Keys(spent.ms))
	for id, end := range spent.ends {
		if spent.ms[id] == nil && !end.reported.IsZero() { // it may be another identity of a process that used CPU time
			ids = append(ids, id)
		}
	}
	rows, err := q.pool.Query(
		ctx, `SELECT id, pid, started_at FROM processes WHERE id = ANY($1) ORDER BY pid, started_at`, ids,
	)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	var identities []trendIdentity
	ends := make(map[snapshot.ProcessKey]processEnd)
	var id int64
	var pid int32
	var started pgtype.Timestamptz
	if _, err := pgx.ForEachRow(rows, []any{&id, &pid, &started}, func() error {
		key := snapshot.ProcessKey{PID: pid, StartedAt: snapshot.TimeOf(started.Time)}
		identities = append(identities, trendIdentity{id, key})
		ends[key] = ends[key].merge(spent.ends[id])
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	trends := make([]ProcessTrend, 0, len(spent.ms))
	var known [TrendPoints]float64 // of the last trend
	for _, one := range identities {
		used := spent.ms[one.id]
		if used == nil {
			continue
		}
		// A process with several identities has several rows.
		if n := len(trends); n == 0 || trends[n-1].Key != one.key {
			trends = append(trends, ProcessTrend{Key: one.key})
			known = w.covered(w.lifetimeOf(one.key, ends[one.key].time()))
		}
		trends[len(trends)-1].add(used, &known, unknown[one.key])
	}
	return trends, nil
}

// add adds the CPU time of an identity. known is how much time was measured in each part; it contains the time in which
// the CPU time was unknown, which is nil if there is none.
func (t *ProcessTrend) add(used, known, unknown *[TrendPoints]float64) {
	for part, ms := range used {
		elapsed := known[part]
		if unknown != nil {
			elapsed -= unknown[part]
		}
		if elapsed < 0.5 { // the rest are errors of rounding
			continue
		}
		if t.CPUUsage[part] == nil {
			t.CPUUsage[part] = new(float64)
		}
		*t.CPUUsage[part] += 100 * ms / elapsed
	}
}
