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

// ProcessTrend is the CPU time in milliseconds that a process used in each of TrendPoints equal parts of
// a window, the oldest first.
type ProcessTrend struct {
	Key   snapshot.ProcessKey
	CPUMS [TrendPoints]int64
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
	// A sample's time is the end of its interval, so the parts are open at their start.
	rows, err := q.pool.Query(
		ctx,
		`SELECT process, least(ceil(extract(epoch FROM ts - $2) * $4 / extract(epoch FROM $3 - $2))::int - 1, $4 - 1) AS part, sum(cpu_ms)::bigint
		FROM process_samples WHERE machine = $1 AND ts > $2 AND ts <= $3 AND cpu_ms > 0 GROUP BY 1, 2`,
		machine,
		from.Std(),
		to.Std(),
		TrendPoints,
	)
	if err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	spent := make(map[int64]*[TrendPoints]int64)
	var process, sum int64
	var part int
	if _, err := pgx.ForEachRow(rows, []any{&process, &part, &sum}, func() error {
		if spent[process] == nil {
			spent[process] = new([TrendPoints]int64)
		}
		spent[process][part] = sum
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return q.nameTrends(ctx, spent)
}

// nameTrends adds the keys of the processes. A join would look up a process for each point, and double
// the time of the query.
func (q *Queries) nameTrends(ctx context.Context, spent map[int64]*[TrendPoints]int64) ([]ProcessTrend, error) {
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
		for part, sum := range spent[id] {
			points[part] += sum
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the trends of processes: %w", err)
	}
	return trends, nil
}
