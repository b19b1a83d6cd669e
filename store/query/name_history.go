package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// ErrTooManyMachines means that a chart by minute is not possible because too many machines ran the processes.
var ErrTooManyMachines = errors.New("too many machines for a chart by minute")

const (
	namePointsSQL = `SELECT bucket, count(DISTINCT (p.machine, p.pid, p.started_at)), ` + pointColumns + `
		FROM %s r JOIN processes p ON p.id = r.process
		WHERE %s AND %s AND p.name = $1 AND r.bucket_key >= $2 AND r.bucket_key < $3
		GROUP BY bucket ORDER BY bucket LIMIT $4`
	nameMinutesSQL = `SELECT g.bucket, count(DISTINCT (p.machine, p.pid, p.started_at)), ` + pointColumns + `
		FROM unnest($5::integer[]) k(machine)
		CROSS JOIN generate_series($2::timestamptz, $3::timestamptz - interval '1 ms', interval '1 minute') g(bucket)
		CROSS JOIN LATERAL process_window(k.machine, g.bucket, g.bucket + interval '1 minute',
			ARRAY(SELECT id FROM processes WHERE machine = k.machine AND name = $1), true) r
		JOIN processes p ON p.id = r.process
		GROUP BY g.bucket ORDER BY g.bucket LIMIT $4`
	measuredSQL = `SELECT bucket, max(interval_ms) FROM %s r
		WHERE %s AND bucket_key >= $1 AND bucket_key < $2 GROUP BY bucket`
)

// nameMinuteMachines is the maximum number of machines of a chart by minute, because it reads all their samples.
const nameMinuteMachines = 4

// nameResolution returns the resolution of a chart of all processes with a name, like ProcessResolution. It is
// ResolutionMinute instead of ResolutionRaw, or ResolutionHour if too many machines ran them.
func (q *Queries) nameResolution(machines []int32, from, to snapshot.Time) Resolution {
	resolution := q.ProcessResolution(from, to)
	switch {
	case resolution != ResolutionRaw:
		return resolution
	case len(machines) > nameMinuteMachines:
		return ResolutionHour
	}
	return ResolutionMinute
}

// nameMachines returns the machines in the view that ran a process with a name on or after the day of a time, but at
// most one more than nameMinuteMachines.
func (q *Queries) nameMachines(ctx context.Context, view View, name string, from snapshot.Time) ([]int32, error) {
	rows, err := q.pool.Query(ctx, `SELECT m.id FROM machines m WHERE ($3 OR m.tags && $4) AND EXISTS (
			SELECT FROM processes p WHERE p.machine = m.id AND p.name = $1 AND p.last_day >= $2)
		LIMIT $5`, name, firstDay(from), view.All, view.tags(), nameMinuteMachines+1)
	if err != nil {
		return nil, fmt.Errorf("find the machines of a name: %w", err)
	}
	machines, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return nil, fmt.Errorf("find the machines of a name: %w", err)
	}
	return machines, nil
}

// NameHistory returns at most limit points of all processes with a name in (from, to], on one machine or, with an empty
// id, on all machines of the view. ResolutionAuto selects a resolution; used is the one selected. resolution must not
// be ResolutionRaw. It returns ErrTooManyMachines if there are too many for ResolutionMinute.
func (q *Queries) NameHistory(
	ctx context.Context, view View, machineID, name string, from, to snapshot.Time, resolution Resolution, limit int,
) (points []ProcessPoint, used Resolution, more bool, err error) {
	defer q.observe("name", time.Now())
	of, err := q.scopeOf(ctx, machineID, view)
	if err != nil {
		return nil, "", false, err
	}
	ran := of.machines // if they are few
	if machineID == "" {
		if ran, err = q.nameMachines(ctx, view, name, from); err != nil {
			return nil, "", false, err
		}
	}
	if resolution == ResolutionAuto {
		resolution = q.nameResolution(ran, from, to)
	}
	begin, sql := from.Std().UTC().Truncate(resolution.Width()), nameMinutesSQL
	args := []any{name, begin, to.Std(), limit + 1}
	switch {
	case resolution != ResolutionMinute:
		rollup := "process_" + string(resolution)
		sql = fmt.Sprintf(namePointsSQL, rollup, of.condition("r", &args), of.condition("p", &args))
	case len(ran) > nameMinuteMachines:
		return nil, "", false, ErrTooManyMachines
	default:
		of.machines = ran
		args = append(args, ran)
	}
	points, more, err = q.processPoints(ctx, sql, limit, args...)
	if err != nil {
		return nil, "", false, err
	}
	args = []any{begin, to.Std()}
	sql = fmt.Sprintf(measuredSQL, "machine_"+string(resolution), of.condition("r", &args))
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, "", false, fmt.Errorf("read the measured time of a name's history: %w", err)
	}
	measured := make(map[snapshot.Time]int64)
	var at time.Time
	var interval int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &interval}, func() error {
		measured[snapshot.TimeOf(at)] = interval
		return nil
	}); err != nil {
		return nil, "", false, fmt.Errorf("read the measured time of a name's history: %w", err)
	}
	for i := range points {
		p := &points[i]
		if p.ElapsedMS = measured[p.Timestamp]; p.ElapsedMS > 0 && p.runMS != nil {
			p.RunningAvg = rounded(new(float64(*p.runMS) / float64(p.ElapsedMS)))
		}
	}
	return points, resolution, more, nil
}
