package query

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
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
