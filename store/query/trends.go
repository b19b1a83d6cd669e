package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// TrendPoints is the number of points of a trend.
const TrendPoints = 60

// MachineTrend is the last hour of a machine by minute, the oldest first. Minutes without data are nil.
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
	rows, err := q.pool.Query(ctx, `SELECT m.machine_id, r.bucket, r.cpu_usage_avg, r.load1_avg
		FROM machines m LEFT JOIN machine_1m r ON r.machine = m.id AND r.bucket_key >= $2 AND r.bucket_key < $3
		WHERE m.machine_id = ANY($1) AND ($4 OR m.tags && $5) ORDER BY m.machine_id`, machineIDs, begin, end, view.All, view.tags())
	if err != nil {
		return nil, fmt.Errorf("read the trends of machines: %w", err)
	}
	trends := []MachineTrend{}
	var machineID string
	var bucket *time.Time
	var cpu, load *float64
	if _, err := pgx.ForEachRow(rows, []any{&machineID, &bucket, &cpu, &load}, func() error {
		if n := len(trends); n == 0 || trends[n-1].MachineID != machineID {
			trends = append(trends, MachineTrend{MachineID: machineID})
		}
		if bucket != nil {
			i := int(bucket.Sub(begin) / time.Minute)
			trends[len(trends)-1].CPUUsage[i], trends[len(trends)-1].Load1[i] = rounded(cpu), rounded(load)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of machines: %w", err)
	}
	return trends, nil
}

// ProcessTrend is the CPU time in milliseconds that a process used in each of TrendPoints equal parts of a window, the
// oldest first. Parts without data are nil. A sample that covers several parts is spread over them.
type ProcessTrend struct {
	Key   snapshot.ProcessKey
	CPUMS [TrendPoints]*float64
}

// trendWindow divides a window (from, to] into TrendPoints parts.
type trendWindow struct {
	from, to snapshot.Time
	// measured is whether a snapshot covers a part.
	measured [TrendPoints]bool
	// isSparse is whether a snapshot covers more than a part.
	isSparse bool
	interval map[snapshot.Time]int64 // of the snapshots, in milliseconds
}

// width returns the length of a part in milliseconds.
func (w *trendWindow) width() float64 { return float64(w.to-w.from) / TrendPoints }

// shares calls add with each part that the interval before a snapshot overlaps, and the share of the interval in it.
func (w *trendWindow) shares(at snapshot.Time, add func(part int, share float64)) {
	interval := float64(w.interval[at])
	end := float64(at - w.from)
	begin := max(0, end-interval)
	for part := int(begin / w.width()); part < TrendPoints && float64(part)*w.width() < end; part++ {
		first, last := max(begin, float64(part)*w.width()), min(end, float64(part+1)*w.width())
		if last > first {
			add(part, (last-first)/interval)
		}
	}
}

// trendWindow reads the intervals of a machine's snapshots in a window.
func (q *Queries) trendWindow(ctx context.Context, machine int32, from, to snapshot.Time) (*trendWindow, error) {
	w := &trendWindow{from: from, to: to, interval: make(map[snapshot.Time]int64)}
	rows, err := q.pool.Query(ctx, intervalsSQL, machine, (from + 1).Std(), to.Std())
	if err != nil {
		return nil, fmt.Errorf("read the intervals of a trend: %w", err)
	}
	var at time.Time
	var interval int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &interval}, func() error {
		ts := snapshot.TimeOf(at)
		w.interval[ts] = interval
		w.isSparse = w.isSparse || float64(interval) > w.width()
		w.shares(ts, func(part int, _ float64) { w.measured[part] = true })
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the intervals of a trend: %w", err)
	}
	return w, nil
}

const (
	// A sample's time is the end of its interval, so the parts are open at their start.
	trendPartsSQL = `SELECT process,
			least(ceil(extract(epoch FROM ts - $2) * $4 / extract(epoch FROM $3 - $2))::int - 1, $4 - 1) AS part,
			to_bigint(sum(cpu_ms))
		FROM process_samples WHERE machine = $1 AND ts > $2 AND ts <= $3 AND cpu_ms > 0 GROUP BY 1, 2`
	trendSamplesSQL = `SELECT process, ts, cpu_ms
		FROM process_samples WHERE machine = $1 AND ts > $2 AND ts <= $3 AND cpu_ms > 0`
)

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
	if err != nil {
		return nil, err
	}
	spent := make(map[int64]*[TrendPoints]float64)
	var process, sum int64
	var part int
	var at time.Time
	add := func(part int, ms float64) {
		if spent[process] == nil {
			spent[process] = new([TrendPoints]float64)
		}
		spent[process][part] += ms
	}
	var rows pgx.Rows
	if window.isSparse {
		rows, err = q.pool.Query(ctx, trendSamplesSQL, machine, from.Std(), to.Std())
		if err == nil {
			_, err = pgx.ForEachRow(rows, []any{&process, &at, &sum}, func() error {
				window.shares(snapshot.TimeOf(at), func(part int, share float64) { add(part, share*float64(sum)) })
				return nil
			})
		}
	} else {
		rows, err = q.pool.Query(ctx, trendPartsSQL, machine, from.Std(), to.Std(), TrendPoints)
		if err == nil {
			_, err = pgx.ForEachRow(rows, []any{&process, &part, &sum}, func() error {
				add(part, float64(sum))
				return nil
			})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return q.nameTrends(ctx, spent, &window.measured)
}

// nameTrends adds the keys of the processes. A join would look up a process for each point, and double
// the time of the query.
func (q *Queries) nameTrends(
	ctx context.Context, spent map[int64]*[TrendPoints]float64, measured *[TrendPoints]bool,
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
	var started *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &pid, &started}, func() error {
		key := snapshot.ProcessKey{PID: pid}
		if started != nil {
			key.StartedAt = snapshot.TimeOf(*started)
		}
		if n := len(trends); n == 0 || trends[n-1].Key != key { // a process with several identities has several rows
			trends = append(trends, ProcessTrend{Key: key})
		}
		points := &trends[len(trends)-1].CPUMS
		for part, ms := range spent[id] {
			switch {
			case points[part] != nil:
				*points[part] += ms
			case measured[part] || ms > 0:
				points[part] = &ms
			}
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return trends, nil
}
