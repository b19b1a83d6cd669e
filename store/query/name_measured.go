package query

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Span is a time span.
type Span struct {
	From, To snapshot.Time
}

// measuredSpanMachines is the maximum number of machines that are read to find out when a point was measured. They are
// those that were measured longest.
const measuredSpanMachines = 8

// measuredSpansSQL returns when any of the machines was measured in each bucket. An interval can end after the bucket.
const measuredSpansSQL = `WITH spans AS (
		SELECT k.bucket, unnest(range_agg(tstzrange(
			greatest(k.bucket, least(r.bucket, r.bucket + $5::interval - r.interval_ms * interval '1 ms')),
			least(k.bucket + $4::interval, r.bucket + $5::interval, $3)))) AS span
		FROM unnest($1::timestamptz[], $2::integer[]) k(bucket, machine)
			JOIN LATERAL (SELECT bucket, interval_ms FROM %s WHERE machine = k.machine AND interval_ms > 0
				AND bucket_key >= k.bucket AND bucket_key < k.bucket + $4::interval + interval '1 hour') r
				ON r.bucket + $5::interval - r.interval_ms * interval '1 ms' < k.bucket + $4::interval
				AND r.bucket < $3
		GROUP BY k.bucket)
	SELECT bucket, lower(span), upper(span) FROM spans ORDER BY 1, 2`

// setMeasured sets Measured of the points, to the minute or, in longer points than hours, to the hour.
func (q *Queries) setMeasured(ctx context.Context, points []ProcessPoint, resolution Resolution, now time.Time) error {
	finer := ResolutionHour
	switch resolution {
	case ResolutionMinute:
		return nil
	case ResolutionHour:
		finer = ResolutionMinute
	}
	var buckets []time.Time
	var machines []int32
	byTime := make(map[snapshot.Time]*ProcessPoint)
	for i := range points {
		p := &points[i]
		for _, machine := range p.partlyMeasured {
			buckets, machines = append(buckets, p.Timestamp.Std()), append(machines, machine)
			byTime[p.Timestamp] = p
		}
	}
	if len(buckets) == 0 {
		return nil
	}
	rows, err := q.pool.Query(ctx, fmt.Sprintf(measuredSpansSQL, "machine_"+string(finer)),
		buckets, machines, now, resolution.Width(), finer.Width())
	if err != nil {
		return fmt.Errorf("read when a name was measured: %w", err)
	}
	var bucket, from, to time.Time
	if _, err := pgx.ForEachRow(rows, []any{&bucket, &from, &to}, func() error {
		p := byTime[snapshot.TimeOf(bucket)]
		p.Measured = append(p.Measured, Span{snapshot.TimeOf(from), snapshot.TimeOf(to)})
		return nil
	}); err != nil {
		return fmt.Errorf("read when a name was measured: %w", err)
	}
	return nil
}
