package query

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	namePointsSQL = `SELECT bucket, count(DISTINCT (p.machine, p.pid, p.started_at)), ` + pointColumns + `
		FROM %s r JOIN processes p ON p.id = r.process
		WHERE %s AND r.bucket_key >= $3 AND r.bucket_key < $4 GROUP BY bucket ORDER BY bucket LIMIT $5`
	nameMinutesSQL = `SELECT g.bucket, count(DISTINCT (p.pid, p.started_at)), ` + pointColumns + `
		FROM generate_series($3::timestamptz, $4::timestamptz - interval '1 ms', interval '1 minute') g(bucket)
		CROSS JOIN LATERAL process_window($1, g.bucket, g.bucket + interval '1 minute',
			ARRAY(SELECT id FROM processes WHERE machine = $1 AND name = $2), false) r
		JOIN processes p ON p.id = r.process
		GROUP BY g.bucket ORDER BY g.bucket LIMIT $5`
	measuredSQL = `SELECT bucket, max(interval_ms) FROM %s WHERE %s AND bucket_key >= $2 AND bucket_key < $3 GROUP BY bucket`
)

// NameResolution returns the resolution of a chart of all processes with a name, like ProcessResolution. It is never
// ResolutionRaw. A chart of several machines has no minutes, because that would read all their samples.
func (q *Queries) NameResolution(machineID string, from, to snapshot.Time) Resolution {
	resolution := q.ProcessResolution(from, to)
	switch {
	case resolution != ResolutionRaw:
		return resolution
	case machineID == "":
		return ResolutionHour
	}
	return ResolutionMinute
}

// NameHistory returns at most limit points of all processes with a name in (from, to], on one machine or, with an empty
// id, on all machines of the view. resolution must not be ResolutionRaw, and ResolutionMinute needs a machine.
func (q *Queries) NameHistory(
	ctx context.Context, view View, machineID, name string, from, to snapshot.Time, resolution Resolution, limit int,
) ([]ProcessPoint, bool, error) {
	defer q.observe("name", time.Now())
	var machines any = int32(0)
	of, where := "$1::integer = 0", "$1::integer = 0 AND p.name = $2"
	switch {
	case machineID != "":
		machine, err := q.machineKey(ctx, machineID)
		if err != nil {
			return nil, false, err
		}
		machines, of, where = machine, "machine = $1", "r.machine = $1 AND p.machine = $1 AND p.name = $2"
	case !view.All:
		keys, err := q.machineKeys(ctx, view)
		if err != nil {
			return nil, false, err
		}
		machines, of, where = keys, "machine = ANY($1)", "r.machine = ANY($1) AND p.machine = ANY($1) AND p.name = $2"
	}
	begin, sql := from.Std().UTC().Truncate(resolution.Width()), nameMinutesSQL
	if resolution != ResolutionMinute {
		sql = fmt.Sprintf(namePointsSQL, "process_"+string(resolution), where)
	}
	points, more, err := q.processPoints(ctx, sql, limit, machines, name, begin, to.Std(), limit+1)
	if err != nil {
		return nil, false, err
	}
	rows, err := q.pool.Query(
		ctx, fmt.Sprintf(measuredSQL, "machine_"+string(resolution), of), machines, begin, to.Std(),
	)
	if err != nil {
		return nil, false, fmt.Errorf("read the measured time of a name's history: %w", err)
	}
	measured := make(map[snapshot.Time]int64)
	var at time.Time
	var interval int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &interval}, func() error {
		measured[snapshot.TimeOf(at)] = interval
		return nil
	}); err != nil {
		return nil, false, fmt.Errorf("read the measured time of a name's history: %w", err)
	}
	for i := range points {
		p := &points[i]
		if p.ElapsedMS = measured[p.Timestamp]; p.ElapsedMS > 0 && p.runMS != nil {
			p.RunningAvg = rounded(new(float64(*p.runMS) / float64(p.ElapsedMS)))
		}
	}
	return points, more, nil
}
