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
	CPUTime   *snapshot.CPUTime
	// ElapsedMS is the measured part of the point's time in which the process ran, or for a sum of processes the
	// measured part of the point's time. If a sum's machines were measured for different times, it is the time in which
	// CPUTime makes the sum of their rates.
	ElapsedMS int64
	// RunningAvg is how many processes of a sum ran at once on average, nil if unknown.
	RunningAvg *float64
	CPUTimeMax *snapshot.CPUTime
	MemoryAvg  *float64
	MemoryMax  *int64
	ThreadsMax *int32
	ReadBytes  *int64
	WriteBytes *int64
	State      string // only of samples
	// Machines is how many machines ran the processes of a name in the whole range. MachinesExpected leaves out those
	// whose first data is later, and MachinesMeasured is how many of them were measured in the point's time. All are
	// only set for a name.
	Machines, MachinesExpected, MachinesMeasured int64
	// Measured is when the machines of a sum were measured, if they were measured in a part of the point's time. It is
	// nil if they were measured all the time, or if it is not known when.
	Measured []Span
	// UnknownCPU and UnknownIO are how many of the processes of a name have unknown CPU time or I/O in the time of the
	// point. The sums leave it out. Both are only set for a name.
	UnknownCPU, UnknownIO int64

	runMS          *int64  // sum of the times in which the processes ran
	partlyMeasured []int32 // machines of a sum that was measured in a part of the point's time
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
	// Exit is how the process ended.
	Exit snapshot.ExitStatus

	shortLived *ProcessPoint // the only sample of a short-lived process, else nil
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
	if startedAt == 0 {
		return q.newestProcess(ctx, machine, pid)
	}
	return q.lifetime(ctx, machine, pid, startedAt)
}

// lifetime returns a process with a start time, which is 0 if it is unknown.
func (q *Queries) lifetime(
	ctx context.Context, machine int32, pid int32, startedAt snapshot.Time,
) (*ProcessLifetime, error) {
	rows, err := q.pool.Query(ctx, `
		SELECT id, started_at, exit_code, exit_signal, `+schema.IdentityColumns+` FROM processes
		WHERE machine = $1 AND pid = $2 AND started_at IS NOT DISTINCT FROM $3::timestamptz
		ORDER BY id DESC`, machine, pid, schema.NullTime(startedAt))
	if err != nil {
		return nil, fmt.Errorf("look up a process: %w", err)
	}
	lifetime := &ProcessLifetime{ProcessKey: snapshot.ProcessKey{PID: pid}}
	lifetime.Identities, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (IdentityVersion, error) {
		var one IdentityVersion
		var started pgtype.Timestamptz
		var exit snapshot.ExitStatus
		dest := []any{&one.id, &started, &exit.ExitCode, &exit.ExitSignal}
		err := row.Scan(append(dest, schema.IdentityDest(&one.Identity)...)...)
		if !lifetime.Exit.HasExitStatus() {
			lifetime.Exit = exit
		}
		lifetime.StartedAt = snapshot.TimeOf(started.Time)
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("look up a process: %w", err)
	}
	if len(lifetime.Identities) > 0 {
		return lifetime, nil
	}
	if startedAt == 0 {
		return nil, ErrNoProcess
	}
	return q.shortLivedAt(ctx, machine, pid, startedAt)
}

// processSpan is the longest range in which every sample of a process is read by default: three hours, with some slack
// for a range that ends now.
const processSpan = 3*time.Hour + 6*time.Minute

// ProcessResolution returns the finest resolution for one process that is still kept and cheap to read in the range.
// Samples are indexed by machine and time, so reading a long range of them reads other processes too.
func (q *Queries) ProcessResolution(from, to snapshot.Time) Resolution {
	return q.processResolution(from, to, processSpan)
}

func (q *Queries) processResolution(from, to snapshot.Time, longest time.Duration) Resolution {
	span := to.Sub(from)
	switch {
	case span <= longest && from >= q.Horizon():
		return ResolutionRaw
	case span <= 62*24*time.Hour && q.isKept("process_1h", from):
		return ResolutionHour
	case span <= 186*24*time.Hour && q.isKept("process_3h", from):
		return ResolutionThreeHours
	}
	return ResolutionDay
}

const (
	// If the first or last snapshot of the range left the process out, it has the values of the row before that there,
	// and used nothing, if its usage is known at all.
	processSamplesSQL = `
		SELECT ts, 1::bigint, ` + schema.CPUTime + `, ` + schema.CPUTime + `, 0::bigint,
			memory_usage::double precision, memory_usage, threads, read_bytes, write_bytes, coalesce(state, '')
		FROM process_samples WHERE machine = $1 AND process = ANY($2) AND ts > $3 AND ts <= $4
		UNION ALL
		SELECT e.ts, 1, CASE WHEN e.interval_ms > 0 THEN l.cpu_us * 0 END,
			CASE WHEN e.interval_ms > 0 THEN l.cpu_us * 0 END, 0, l.memory_usage, l.memory_usage, l.threads,
			CASE WHEN e.interval_ms > 0 THEN l.read_bytes * 0 END,
			CASE WHEN e.interval_ms > 0 THEN l.write_bytes * 0 END, coalesce(l.state, '')
		FROM (
				(SELECT ts, full_ts, interval_ms FROM snapshots
					WHERE machine = $1 AND ts > $3 AND ts <= $4 ORDER BY ts LIMIT 1)
				UNION
				(SELECT ts, full_ts, interval_ms FROM snapshots
					WHERE machine = $1 AND ts > $3 AND ts <= $4 ORDER BY ts DESC LIMIT 1)) e
			CROSS JOIN LATERAL ` + lastSampleSQL + ` l
		WHERE l.ts < e.ts AND ` + isRunningSQL + `
		ORDER BY 1 LIMIT $5`
	// lastSampleSQL is the last sample of a process, with the identities $2, on the machine $1 in the run of a snapshot
	// e.
	lastSampleSQL = `(SELECT s.ts, ` + schema.CPUTime + ` AS cpu_us, s.memory_usage, s.threads, s.read_bytes, s.write_bytes, s.state
				FROM process_samples s
				WHERE s.machine = $1 AND s.process = ANY($2) AND s.ts >= e.full_ts AND s.ts <= e.ts
				ORDER BY s.ts DESC, (s.state = 'exited') NULLS FIRST LIMIT 1)`
	// isRunningSQL is whether the process of a last sample l is in the snapshot.
	isRunningSQL = `(l.state IS NULL OR l.state NOT IN ('exited', 'X'))`
	intervalsSQL = `SELECT ts, interval_ms FROM snapshots WHERE machine = $1 AND ts >= $2 AND ts <= $3 ORDER BY ts`
	// This does not join processes, because the plan might read that whole table.
	processPointsSQL = `SELECT bucket, 1::bigint, ` + pointColumns + `
		FROM %s r WHERE r.machine = $1 AND r.process = ANY($2) AND r.bucket_key >= $3 AND r.bucket_key < $4
		GROUP BY bucket ORDER BY bucket LIMIT $5`
	// memoryTime is the time that an average of memory covers. In rows of earlier versions, it is estimated.
	memoryTime = `coalesce(r.memory_ms, r.elapsed_ms,
			(extract(epoch FROM r.last_ts - r.first_ts) * 1000)::bigint + 60000)`
	// pointColumns are sums over rows of a rollup.
	pointColumns = `to_bigint(sum(r.cpu_us)), max(r.cpu_us_max), CASE WHEN count(*) = count(r.elapsed_ms) THEN sum(r.elapsed_ms)::bigint END,
		coalesce(sum(r.memory_avg * ` + memoryTime + `)
			/ nullif(sum(` + memoryTime + `) FILTER (WHERE r.memory_avg IS NOT NULL), 0)
				::double precision, avg(r.memory_avg)),
		max(r.memory_max), max(r.threads_max), to_bigint(sum(r.read_bytes)), to_bigint(sum(r.write_bytes)), ''`
)

// ProcessHistory returns at most limit points of a process in (from, to]. Samples are sparse: their
// gauges are valid until the next sample. The first and last snapshots of the range have a point even if they left
// the process out.
func (q *Queries) ProcessHistory(
	ctx context.Context, machineID string, lifetime *ProcessLifetime, from, to snapshot.Time, resolution Resolution,
	limit int,
) ([]ProcessPoint, bool, error) {
	defer q.observe("process", time.Now())
	if lifetime.shortLived != nil {
		return lifetime.shortLivedHistory(from, to, resolution, limit), false, nil
	}
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
		return points, more, q.setElapsed(ctx, machine, lifetime.StartedAt, points)
	}
	for i := range points {
		points[i].clip(resolution, lifetime.StartedAt, q.now())
	}
	return points, more, nil
}

// setElapsed sets ElapsedMS of each sample to the interval of its snapshot, or to the part of it after the process
// started. It is a separate query, because the planner underestimates the number of compressed rows and would run a
// join as a slow nested loop.
func (q *Queries) setElapsed(ctx context.Context, machine int32, started snapshot.Time, points []ProcessPoint) error {
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
			if lived := int64(points[0].Timestamp - started); points[0].Timestamp == snapshot.TimeOf(at) {
				points[0].ElapsedMS = interval
				if started != 0 && lived > 0 {
					points[0].ElapsedMS = min(interval, lived)
				}
			}
			points = points[1:]
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read the intervals of a process's samples: %w", err)
	}
	return nil
}

// processPoints reads points with the columns of pointColumns.
func (q *Queries) processPoints(ctx context.Context, sql string, limit int, args ...any) ([]ProcessPoint, bool, error) {
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, false, fmt.Errorf("read a process's history: %w", err)
	}
	points, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ProcessPoint, error) {
		var p ProcessPoint
		var at time.Time
		err := row.Scan(
			&at, &p.Processes, &p.CPUTime, &p.CPUTimeMax, &p.runMS, &p.MemoryAvg, &p.MemoryMax, &p.ThreadsMax,
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

// clip sets ElapsedMS of a bucket to the measured time in which the process ran. That can be longer than the time
// between its first and last timestamps: after a clock is set back, timestamps go slower than time.
func (p *ProcessPoint) clip(resolution Resolution, started snapshot.Time, now time.Time) {
	if p.runMS == nil { // stored by an earlier version
		begin, end := max(p.Timestamp, started), min(p.Timestamp.Add(resolution.Width()), snapshot.TimeOf(now))
		p.ElapsedMS = max(0, int64(end-begin))
		return
	}
	p.ElapsedMS = *p.runMS
}
