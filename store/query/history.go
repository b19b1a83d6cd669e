package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// ErrNoProcess means that a machine has no such process.
var ErrNoProcess = errors.New("no such process")

// ProcessPoint is the usage of a process, or of all processes of one name, in a time bucket or sample.
type ProcessPoint struct {
	Timestamp snapshot.Time
	Processes int64
	CPUMS     *int64
	// ElapsedMS is the part of the point's time in which the process ran.
	ElapsedMS  int64
	CPUMSMax   *int64
	MemoryAvg  *float64
	MemoryMax  *int64
	ThreadsMax *int32
	ReadBytes  *int64
	WriteBytes *int64
	State      string // only of samples
}

// IdentityVersion is an identity that a process had. A process gets a new one when it calls exec.
type IdentityVersion struct {
	snapshot.Identity
	id int64
}

// ProcessLifetime is a process with all its identities, the newest first.
type ProcessLifetime struct {
	snapshot.ProcessKey
	Identities []IdentityVersion
}

// ProcessLifetime returns a process, or ErrNoProcess. Without a start time, it is the process with that pid that
// started last, even if the data of an earlier one arrived later.
func (q *Queries) ProcessLifetime(
	ctx context.Context, machineID string, pid int32, startedAt snapshot.Time,
) (*ProcessLifetime, error) {
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, err
	}
	rows, err := q.pool.Query(ctx, `
		SELECT id, started_at, `+schema.IdentityColumns+` FROM processes
		WHERE machine = $1 AND pid = $2 AND started_at IS NOT DISTINCT FROM CASE WHEN $3::timestamptz IS NOT NULL THEN $3
			ELSE (SELECT started_at FROM processes WHERE machine = $1 AND pid = $2
				ORDER BY started_at DESC NULLS LAST LIMIT 1) END
		ORDER BY id DESC`, machine, pid, schema.NullTime(startedAt))
	if err != nil {
		return nil, fmt.Errorf("look up a process: %w", err)
	}
	lifetime := &ProcessLifetime{ProcessKey: snapshot.ProcessKey{PID: pid}}
	lifetime.Identities, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (IdentityVersion, error) {
		var one IdentityVersion
		var started pgtype.Timestamptz
		err := row.Scan(append([]any{&one.id, &started}, schema.IdentityDest(&one.Identity)...)...)
		lifetime.StartedAt = snapshot.TimeOf(started.Time)
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("look up a process: %w", err)
	}
	if len(lifetime.Identities) == 0 {
		return nil, ErrNoProcess
	}
	return lifetime, nil
}

// ProcessResolution returns the finest resolution that is still kept and cheap to read in the range.
// Samples are indexed by machine and time, so reading a long range of them reads other processes too.
func (q *Queries) ProcessResolution(from, to snapshot.Time) Resolution {
	span, age, keep := to.Sub(from), q.now().Sub(from.Std()), q.retention()
	switch {
	case span <= exactSpan && age <= keep.For("snapshots"):
		return ResolutionRaw
	case span <= 62*24*time.Hour && age <= keep.For("process_1h"):
		return ResolutionHour
	case span <= 186*24*time.Hour && age <= keep.For("process_3h"):
		return ResolutionThreeHours
	}
	return ResolutionDay
}

const (
	processSamplesSQL = `
		SELECT ts, 1::bigint, cpu_ms, cpu_ms, 0::bigint, memory_usage::double precision, memory_usage, threads, read_bytes, write_bytes, coalesce(state, '')
		FROM process_samples WHERE machine = $1 AND process = ANY($2) AND ts >= $3 AND ts < $4 ORDER BY ts LIMIT $5`
	intervalsSQL = `SELECT ts, interval_ms FROM snapshots WHERE machine = $1 AND ts >= $2 AND ts <= $3 ORDER BY ts`
	// This does not join processes, because the plan might read that whole table.
	processPointsSQL = `SELECT bucket, 1::bigint, ` + pointColumns + `
		FROM %s r WHERE r.machine = $1 AND r.process = ANY($2) AND r.bucket >= $3 AND r.bucket < $4 GROUP BY bucket ORDER BY bucket LIMIT $5`
	namePointsSQL = `SELECT bucket, count(DISTINCT (p.machine, p.pid, p.started_at)), ` + pointColumns + `
		FROM %s r JOIN processes p ON p.id = r.process
		WHERE %s AND r.bucket >= $3 AND r.bucket < $4 GROUP BY bucket ORDER BY bucket LIMIT $5`
	pointColumns = `sum(r.cpu_ms)::bigint, max(r.cpu_ms_max), 0::bigint,
			sum(r.memory_avg * r.memory_samples) / nullif(sum(r.memory_samples), 0)::double precision, max(r.memory_max), max(r.threads_max),
		sum(r.read_bytes)::bigint, sum(r.write_bytes)::bigint, ''`
)

// ProcessHistory returns at most limit points of a process in [from, to). Samples are sparse: their
// gauges are valid until the next sample.
func (q *Queries) ProcessHistory(
	ctx context.Context, machineID string, lifetime *ProcessLifetime, from, to snapshot.Time, resolution Resolution,
	limit int,
) ([]ProcessPoint, bool, error) {
	defer q.observe("process", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, false, err
	}
	ids := make([]int64, len(lifetime.Identities))
	for i := range lifetime.Identities {
		ids[i] = lifetime.Identities[i].id
	}
	sql, begin := processSamplesSQL, max(from, q.Horizon()).Std()
	if resolution != ResolutionRaw {
		sql = fmt.Sprintf(processPointsSQL, "process_"+string(resolution))
		begin = from.Std().UTC().Truncate(resolution.Width())
	}
	points, more, err := q.processPoints(ctx, sql, limit, machine, ids, begin, to.Std(), limit+1)
	if err != nil {
		return nil, false, err
	}
	if resolution == ResolutionRaw {
		return points, more, q.setElapsed(ctx, machine, points)
	}
	for i := range points {
		points[i].clip(resolution, lifetime.StartedAt, q.now())
	}
	return points, more, nil
}

// setElapsed sets ElapsedMS of each sample to the interval of its snapshot. It is a separate query, because the planner
// underestimates the number of compressed rows and would run a join as a slow nested loop.
func (q *Queries) setElapsed(ctx context.Context, machine int32, points []ProcessPoint) error {
	if len(points) == 0 {
		return nil
	}
	rows, err := q.pool.Query(
		ctx, intervalsSQL, machine, points[0].Timestamp.Std(), points[len(points)-1].Timestamp.Std(),
	)
	if err != nil {
		return fmt.Errorf("read the intervals of a process's samples: %w", err)
	}
	var at time.Time
	var interval int64
	if _, err := pgx.ForEachRow(rows, []any{&at, &interval}, func() error {
		for len(points) > 0 && points[0].Timestamp <= snapshot.TimeOf(at) {
			if points[0].Timestamp == snapshot.TimeOf(at) {
				points[0].ElapsedMS = interval
			}
			points = points[1:]
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read the intervals of a process's samples: %w", err)
	}
	return nil
}

// NameHistory returns at most limit points of all processes with a name in [from, to), on one machine or, with an empty
// id, on all machines of the view. resolution must not be ResolutionRaw.
func (q *Queries) NameHistory(
	ctx context.Context, view View, machineID, name string, from, to snapshot.Time, resolution Resolution, limit int,
) ([]ProcessPoint, bool, error) {
	defer q.observe("name", time.Now())
	var machines any = int32(0)
	where := "$1::integer = 0 AND p.name = $2"
	switch {
	case machineID != "":
		machine, err := q.machineKey(ctx, machineID)
		if err != nil {
			return nil, false, err
		}
		machines, where = machine, "r.machine = $1 AND p.machine = $1 AND p.name = $2"
	case !view.All:
		keys, err := q.machineKeys(ctx, view)
		if err != nil {
			return nil, false, err
		}
		machines, where = keys, "r.machine = ANY($1) AND p.machine = ANY($1) AND p.name = $2"
	}
	sql := fmt.Sprintf(namePointsSQL, "process_"+string(resolution), where)
	points, more, err := q.processPoints(
		ctx, sql, limit, machines, name, from.Std().UTC().Truncate(resolution.Width()), to.Std(), limit+1,
	)
	for i := range points {
		points[i].clip(resolution, 0, q.now())
	}
	return points, more, err
}

func (q *Queries) processPoints(ctx context.Context, sql string, limit int, args ...any) ([]ProcessPoint, bool, error) {
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, false, fmt.Errorf("read a process's history: %w", err)
	}
	points, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ProcessPoint, error) {
		var p ProcessPoint
		var at time.Time
		err := row.Scan(
			&at, &p.Processes, &p.CPUMS, &p.CPUMSMax, &p.ElapsedMS, &p.MemoryAvg, &p.MemoryMax, &p.ThreadsMax,
			&p.ReadBytes, &p.WriteBytes, &p.State,
		)
		p.Timestamp = snapshot.TimeOf(at)
		return p, err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read a process's history: %w", err)
	}
	if len(points) > limit {
		return points[:limit], true, nil
	}
	return points, false, nil
}

// clip sets ElapsedMS of a bucket to the part between the start of the process and now.
func (p *ProcessPoint) clip(resolution Resolution, started snapshot.Time, now time.Time) {
	begin, end := max(p.Timestamp, started), min(p.Timestamp.Add(resolution.Width()), snapshot.TimeOf(now))
	p.ElapsedMS = max(0, int64(end-begin))
}
