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

// trendSQL reads the samples of processes that used CPU time, whose CPU time is unknown, or that ended, in any order.
// Adding them up in the database, or sorting them, takes several times as long as reading them.
const trendSQL = `SELECT ts, process, coalesce(` + schema.CPUTime + `, -1), coalesce(state = 'exited', false),
		coalesce(state IN ('exited', 'X'), false)
	FROM process_samples WHERE machine = $1 AND ts >= $2 AND ts <= $3
		AND (cpu_us > 0 OR cpu_ms > 0 OR cpu_us IS NULL AND cpu_ms IS NULL OR state IN ('exited', 'X'))`

// trendSample is a row of trendSQL.
type trendSample struct {
	at        time.Time
	process   int64
	cpuUS     int64 // -1 if it is unknown
	listedEnd bool  // says that the process, which was listed before, is gone
	ended     bool
}

// spentTime is the CPU time of processes by identity.
type spentTime struct {
	identities map[int64]*identityTime
	// The CPU time of the identities in unknown is unknown in some samples from first until last.
	unknown     map[int64]bool
	first, last time.Time
}

// identityTime is the CPU time of an identity in each part of a window, in milliseconds.
type identityTime struct {
	ms [TrendPoints]float64
	// early are the samples that are not in ms yet: those whose interval begins before the first sample so far, so that
	// the process can have started in it.
	early []earlySample
	first time.Time
	end   processEnd
}

type earlySample struct {
	snapshot *trendSnapshot
	ms       float64
}

// processEnd has the times of the end of a process, of the sample that says so, and of its last other sample. They are
// zero if they are unknown.
type processEnd struct{ at, reported, latest time.Time }

// add adds a sample. The snapshot is nil if it is before the window.
func (e *processEnd) add(r *trendSample, one *trendSnapshot) {
	if !r.listedEnd {
		e.latest = laterOf(e.latest, r.at)
	}
	if !r.ended {
		return
	}
	at := r.at
	if r.listedEnd && one != nil { // it ended in the interval
		at = one.began()
	}
	e.at, e.reported = laterOf(e.at, at), laterOf(e.reported, r.at)
}

// merge sets each time to the later one.
func (e processEnd) merge(other processEnd) processEnd {
	return processEnd{laterOf(e.at, other.at), laterOf(e.reported, other.reported), laterOf(e.latest, other.latest)}
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
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

func (q *Queries) spentTime(ctx context.Context, machine int32, w *trendWindow) (*spentTime, error) {
	first, last := w.snapshots[0].full, w.snapshots[len(w.snapshots)-1].at
	rows, err := q.pool.Query(ctx, trendSQL, machine, first, last)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	spent := &spentTime{identities: make(map[int64]*identityTime), unknown: make(map[int64]bool)}
	var r trendSample
	var one *trendSnapshot
	var latest time.Time
	columns := []any{&r.at, &r.process, &r.cpuUS, &r.listedEnd, &r.ended}
	if _, err := pgx.ForEachRow(rows, columns, func() error {
		if !r.at.Equal(latest) {
			one, latest = w.at(r.at), r.at
		}
		spent.add(w, one, &r)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return spent, nil
}

// add adds a sample. The snapshot is nil if it is before the window.
func (s *spentTime) add(w *trendWindow, one *trendSnapshot, r *trendSample) {
	identity := s.identities[r.process]
	if identity == nil {
		identity = &identityTime{first: r.at}
		s.identities[r.process] = identity
	}
	if r.at.Before(identity.first) {
		identity.first = r.at
		identity.addKnown(w)
	}
	identity.end.add(r, one)
	switch {
	case r.cpuUS > 0 && one != nil:
		identity.add(w, one, float64(r.cpuUS)/1000)
	case r.cpuUS < 0 && !r.listedEnd:
		if len(s.unknown) == 0 || r.at.Before(s.first) {
			s.first = r.at
		}
		s.last, s.unknown[r.process] = laterOf(s.last, r.at), true
	}
}

// add adds the CPU time of a sample.
func (t *identityTime) add(w *trendWindow, one *trendSnapshot, ms float64) {
	if one.began().Before(t.first) {
		t.early = append(t.early, earlySample{one, ms})
		return
	}
	t.spread(w, one, ms, nil)
}

// addKnown adds the early samples in whose intervals the process did not start, because it has an earlier one.
func (t *identityTime) addKnown(w *trendWindow) {
	t.early = slices.DeleteFunc(t.early, func(sample earlySample) bool {
		if sample.snapshot.began().Before(t.first) {
			return false
		}
		t.spread(w, sample.snapshot, sample.ms, nil)
		return true
	})
}

// addEarly adds all early samples.
func (t *identityTime) addEarly(w *trendWindow, started snapshot.Time) {
	for _, sample := range t.early {
		t.spread(w, sample.snapshot, sample.ms, &started)
	}
}

// spread spreads the CPU time of a sample over the parts of its interval. In the interval in which the process started,
// it used none before its start.
func (t *identityTime) spread(w *trendWindow, one *trendSnapshot, ms float64, started *snapshot.Time) {
	at := snapshot.TimeOf(one.at)
	startsInside := started != nil && *started > snapshot.TimeOf(one.began()) && *started < at
	for k := one.first; k < one.last; k++ {
		share := w.share[k]
		if startsInside {
			share = w.overlap(one, k, lifetime{*started, at}) / float64(at-*started)
		}
		t.ms[w.part[k]] += ms * share
	}
}

// ProcessTrends returns the trend of each process of a machine in the window (from, to]. It leaves out processes that
// used no CPU time, and short-lived ones, which have a single sample.
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
	if err != nil || len(spent.identities) == 0 {
		return nil, err
	}
	unknown, err := q.unknownTime(ctx, machine, window, spent)
	if err != nil {
		return nil, err
	}
	return q.nameTrends(ctx, spent, unknown, window)
}

// nameTrends adds the keys of the processes. A join would look up a process for each sample.
func (q *Queries) nameTrends(
	ctx context.Context, spent *spentTime, unknown map[snapshot.ProcessKey]*[TrendPoints]float64, w *trendWindow,
) ([]ProcessTrend, error) {
	rows, err := q.pool.Query(
		ctx, `SELECT id, pid, started_at FROM processes WHERE id = ANY($1) ORDER BY pid, started_at`,
		slices.Collect(maps.Keys(spent.identities)),
	)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	var trends []ProcessTrend
	var key snapshot.ProcessKey
	var all identityTime // of the process, which can have several identities
	add := func() {
		if slices.Max(all.ms[:]) > 0 {
			trends = append(trends, all.trend(w, key, unknown[key]))
		}
	}
	var id int64
	var pid int32
	var started pgtype.Timestamptz
	if _, err := pgx.ForEachRow(rows, []any{&id, &pid, &started}, func() error {
		next := snapshot.ProcessKey{PID: pid, StartedAt: snapshot.TimeOf(started.Time)}
		if next != key {
			add()
			key, all = next, identityTime{}
		}
		identity := spent.identities[id]
		identity.addEarly(w, key.StartedAt)
		for part, ms := range identity.ms {
			all.ms[part] += ms
		}
		all.end = all.end.merge(identity.end)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	add()
	return trends, nil
}

// trend returns the usage of a process in each part. unknown is how much time of each part its CPU time is unknown in,
// or nil.
func (t *identityTime) trend(
	w *trendWindow, key snapshot.ProcessKey, unknown *[TrendPoints]float64,
) ProcessTrend {
	trend := ProcessTrend{Key: key}
	for part, elapsed := range w.covered(w.lifetimeOf(key, t.end.time())) {
		if unknown != nil {
			elapsed -= unknown[part]
		}
		if elapsed >= 0.5 { // less are errors of rounding
			trend.CPUUsage[part] = new(100 * t.ms[part] / elapsed)
		}
	}
	return trend
}
