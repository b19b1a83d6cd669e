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

// TrendPoints is the number of points of a trend.
const TrendPoints = 60

// MachineTrend is the last hour of a machine by minute, the oldest first. Minutes without data are nil. A sample that
// covers several minutes is the value of each that has no other.
type MachineTrend struct {
	MachineID string
	CPUUsage  [TrendPoints]*float64
	Load1     [TrendPoints]*float64
}

// MachineTrends returns the trends of the hour before a time, for the given machines that are in the
// view. They are sorted by machine id.
func (q *Queries) MachineTrends(
	ctx context.Context, view View, machineIDs []string, to snapshot.Time,
) ([]MachineTrend, error) {
	defer q.observe("machine_trends", time.Now())
	end := ceil(to.Std().UTC(), time.Minute)
	begin := end.Add(-TrendPoints * time.Minute)
	rows, err := q.pool.Query(ctx, `SELECT m.machine_id, r.bucket, r.interval_ms, r.cpu_usage_avg, r.load1_avg
		FROM machines m LEFT JOIN machine_1m r ON r.machine = m.id AND r.bucket_key >= $2 AND r.bucket_key < $3
		WHERE m.machine_id = ANY($1) AND ($4 OR m.tags && $5) ORDER BY m.machine_id, r.bucket`,
		machineIDs, begin, end, view.All, view.tags())
	if err != nil {
		return nil, fmt.Errorf("read the trends of machines: %w", err)
	}
	trends := []MachineTrend{}
	var machineID string
	var bucket *time.Time
	var interval *int64
	var cpu, load *float64
	if _, err := pgx.ForEachRow(rows, []any{&machineID, &bucket, &interval, &cpu, &load}, func() error {
		if n := len(trends); n == 0 || trends[n-1].MachineID != machineID {
			trends = append(trends, MachineTrend{MachineID: machineID})
		}
		if bucket != nil {
			minutes := 1
			if interval != nil {
				minutes = int((*interval + 59_999) / 60_000)
			}
			trends[len(trends)-1].set(int(bucket.Sub(begin)/time.Minute), minutes, rounded(cpu), rounded(load))
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of machines: %w", err)
	}
	return trends, nil
}

// set sets the values of a minute, and of as many before it as its samples cover and that have none.
func (t *MachineTrend) set(minute, minutes int, cpu, load *float64) {
	for i := minute; i >= 0 && i > minute-minutes; i-- {
		if i < minute && (t.CPUUsage[i] != nil || t.Load1[i] != nil) {
			return
		}
		t.CPUUsage[i], t.Load1[i] = cpu, load
	}
}

// ProcessTrend is the CPU usage of a process in percent of one core, in each of TrendPoints equal parts of a window,
// the oldest first. It is the average of the time of a part in which it was measured, and nil if there is none.
type ProcessTrend struct {
	Key      snapshot.ProcessKey
	CPUUsage [TrendPoints]*float64
}

// trendWindow divides a window (from, to] into TrendPoints parts, and the intervals of snapshots into these parts. The
// last snapshot can be after the window.
type trendWindow struct {
	from, to  snapshot.Time
	snapshots []trendSnapshot
	// measured is how much time snapshots cover in each part, in milliseconds.
	measured [TrendPoints]float64
	// Each entry of ts, part and share is a share of a snapshot's interval that lies in a part.
	ts    []time.Time
	part  []int32
	share []float64
}

// trendSnapshot is a snapshot in a trendWindow.
type trendSnapshot struct {
	at, full time.Time // full is the start of its run
	interval float64
	// Its shares are those from first until last of the window.
	first, last int
}

// width returns the length of a part in milliseconds.
func (w *trendWindow) width() float64 { return float64(w.to-w.from) / TrendPoints }

// add adds a snapshot.
func (w *trendWindow) add(at, full time.Time, intervalMS int64) {
	interval, end := float64(intervalMS), float64(snapshot.TimeOf(at)-w.from)
	begin, before := max(0, end-interval), len(w.ts)
	for part := int(begin / w.width()); part < TrendPoints && float64(part)*w.width() < end; part++ {
		first, last := max(begin, float64(part)*w.width()), min(end, float64(part+1)*w.width())
		if last <= first {
			continue
		}
		// The sum can exceed the part: after a clock is set back, timestamps go slower than time.
		w.measured[part] += last - first
		w.ts, w.part, w.share = append(w.ts, at), append(w.part, int32(part)), append(w.share, (last-first)/interval)
	}
	w.snapshots = append(w.snapshots, trendSnapshot{at, full, interval, before, len(w.ts)})
}

// overlap returns how much of share k of a snapshot is before a time, in milliseconds.
func (w *trendWindow) overlap(one trendSnapshot, k int, until snapshot.Time) float64 {
	end := float64(snapshot.TimeOf(one.at) - w.from)
	begin := max(0, end-one.interval, float64(w.part[k])*w.width())
	return min(max(float64(until-w.from)-begin, 0), w.share[k]*one.interval)
}

// beforeStart returns how much time snapshots cover in each part before a process started, in milliseconds. It moves
// the CPU time of the interval in which the process started behind the start.
func (w *trendWindow) beforeStart(started snapshot.Time, ms *[TrendPoints]float64) (before [TrendPoints]float64) {
	if started <= w.from {
		return before
	}
	for _, one := range w.snapshots {
		at := snapshot.TimeOf(one.at)
		for k := one.first; k < one.last; k++ {
			before[w.part[k]] += w.overlap(one, k, started)
		}
		contains := at > started && float64(at-started) < one.interval
		if !contains || one.last-one.first < 2 || w.share[one.first] == 0 {
			continue
		}
		// Only this snapshot has CPU time of the process in its first part, which ends before the snapshot.
		used := ms[w.part[one.first]] / w.share[one.first]
		for k := one.first; k < one.last; k++ {
			after := w.share[k]*one.interval - w.overlap(one, k, started)
			ms[w.part[k]] += used * (after/float64(at-started) - w.share[k])
		}
	}
	return before
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

// trendSQL spreads the CPU time of samples over parts of a window. The last columns are the times of the first and last
// sample with an unknown CPU time. OFFSET 0 makes the planner read the samples once.
const trendSQL = `SELECT s.process, w.part, sum(s.cpu_us * w.share) / 1000, min(s.ts) FILTER (WHERE s.cpu_us IS NULL),
		max(s.ts) FILTER (WHERE s.cpu_us IS NULL)
	FROM (SELECT process, ts, ` + schema.CPUTime + ` AS cpu_us FROM process_samples
		WHERE machine = $1 AND ts >= $2 AND ts <= $3
			AND (cpu_us > 0 OR cpu_ms > 0 OR cpu_us IS NULL AND cpu_ms IS NULL AND state IS DISTINCT FROM 'exited') OFFSET 0) s
	LEFT JOIN unnest($4::timestamptz[], $5::integer[], $6::double precision[]) w(ts, part, share) ON w.ts = s.ts
	GROUP BY 1, 2`

// spentTime is the CPU time of processes by identity, in each part of a window.
type spentTime struct {
	ms map[int64]*[TrendPoints]float64
	// The CPU time of the identities in unknown is unknown in some samples from first until last.
	unknown     map[int64]bool
	first, last time.Time
}

func (q *Queries) spentTime(ctx context.Context, machine int32, w *trendWindow) (*spentTime, error) {
	first, last := w.snapshots[0].full, w.snapshots[len(w.snapshots)-1].at
	rows, err := q.pool.Query(ctx, trendSQL, machine, first, last, w.ts, w.part, w.share)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	spent := &spentTime{ms: make(map[int64]*[TrendPoints]float64), unknown: make(map[int64]bool)}
	var process int64
	var part *int
	var ms *float64
	var unknownFrom, unknownTo *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&process, &part, &ms, &unknownFrom, &unknownTo}, func() error {
		if part != nil && ms != nil {
			if spent.ms[process] == nil {
				spent.ms[process] = new([TrendPoints]float64)
			}
			spent.ms[process][*part] = *ms
		}
		if unknownFrom == nil {
			return nil
		}
		if len(spent.unknown) == 0 || unknownFrom.Before(spent.first) {
			spent.first = *unknownFrom
		}
		if unknownTo.After(spent.last) {
			spent.last = *unknownTo
		}
		spent.unknown[process] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return spent, nil
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
	return q.nameTrends(ctx, spent.ms, unknown, window)
}

// nameTrends adds the keys of the processes. A join would look up a process for each point, and double
// the time of the query.
func (q *Queries) nameTrends(
	ctx context.Context, spent map[int64]*[TrendPoints]float64, unknown map[snapshot.ProcessKey]*[TrendPoints]float64,
	w *trendWindow,
) ([]ProcessTrend, error) {
	rows, err := q.pool.Query(
		ctx,
		`SELECT id, pid, started_at FROM processes WHERE id = ANY($1) ORDER BY pid, started_at`,
		slices.Collect(maps.Keys(spent)),
	)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	trends := make([]ProcessTrend, 0, len(spent))
	var id int64
	var pid int32
	var started pgtype.Timestamptz
	if _, err := pgx.ForEachRow(rows, []any{&id, &pid, &started}, func() error {
		key := snapshot.ProcessKey{PID: pid, StartedAt: snapshot.TimeOf(started.Time)}
		if n := len(trends); n == 0 || trends[n-1].Key != key { // a process with several identities has several rows
			trends = append(trends, ProcessTrend{Key: key})
		}
		points := &trends[len(trends)-1].CPUUsage
		before := w.beforeStart(key.StartedAt, spent[id])
		for part, ms := range spent[id] {
			known := w.measured[part] - before[part]
			if without := unknown[key]; without != nil {
				known -= without[part]
			}
			if known < 0.5 { // the rest are errors of rounding
				continue
			}
			if points[part] == nil {
				points[part] = new(float64)
			}
			*points[part] += 100 * ms / known
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return trends, nil
}
