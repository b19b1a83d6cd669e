package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// NearestMatch is a process that matches, and a time at which it ran.
type NearestMatch struct {
	MachineID string
	snapshot.ProcessKey
	Name        string
	CommandLine string
	// Exit is how the process ended, also if it was after Timestamp.
	Exit snapshot.ExitStatus
	// Timestamp is the time of a snapshot that contains the process, or of one that reports its end if none does.
	Timestamp snapshot.Time
}

// nearestSpans are the lengths of the time spans in which Nearest searches, one after the other. The last one is longer
// than any retention.
var nearestSpans = []time.Duration{
	exactSpan, 24 * time.Hour, 8 * 24 * time.Hour, 64 * 24 * time.Hour, 512 * 24 * time.Hour, 3653 * 24 * time.Hour,
}

// Nearest returns the last time before a time window, and the first time after it, at which a matching process ran on a
// machine in the view. They are nil if there is none. The window can be a single time. If more than 10,000 processes
// match in one of the time spans that it searches, it considers only those that probably ran nearest.
func (q *Queries) Nearest(
	ctx context.Context, match Match, from, to snapshot.Time, view View,
) (before, after *NearestMatch, err error) {
	defer q.observe("nearest", time.Now())
	if from < to { // FleetWindow may have searched a longer window
		window, err := q.planOf(ctx, 0, from, to, false)
		if err != nil {
			return nil, nil, err
		}
		if len(window.segments) > 0 {
			from, to = min(from, window.From), max(to, window.To)
		}
	}
	latest := snapshot.TimeOf(q.now()).Add(snapshot.MaxClockSkew)
	from, to = min(from, latest), max(to, latest.Add(-nearestSpans[len(nearestSpans)-1]))
	machines, err := q.shortLivedMachines(ctx, match, view)
	if err != nil {
		return nil, nil, err
	}
	for _, span := range nearestSpans {
		before, err = q.nearestOf(ctx, match, from.Add(-span), from, view, machines, lastBefore)
		if err != nil {
			return nil, nil, err
		}
		if before != nil {
			break
		}
	}
	for i, span := range nearestSpans {
		if to > latest || i > 0 && to.Add(nearestSpans[i-1]) > latest {
			break
		}
		if after, err = q.nearestOf(ctx, match, to, to.Add(span), view, machines, firstAfter); err != nil {
			return nil, nil, err
		}
		if after != nil {
			break
		}
	}
	return before, after, nil
}

// nearestDirection holds the parts of the queries of nearestIn that depend on the direction of the search.
type nearestDirection struct {
	// processes is the order of the processes, those that probably ran nearest first. $1 is the day on which the window
	// begins, and $2 is its end.
	processes string
	// timestamp is the time of the nearest sample of a process, from its first and last sample in the window, or null.
	// Its parameter is the time from which the distance is measured. A window of rollups may extend beyond it.
	timestamp, order string
}

var (
	lastBefore = nearestDirection{
		processes: `coalesce(p.started_at >= $2, false), least(p.last_day, ($2::timestamptz AT TIME ZONE 'UTC')::date) DESC,
			p.started_at DESC NULLS LAST`,
		timestamp: "CASE WHEN last_ts <= $%[1]d THEN last_ts WHEN first_ts <= $%[1]d THEN first_ts END",
		order:     "DESC",
	}
	firstAfter = nearestDirection{
		processes: "greatest(p.started_at, $1)",
		timestamp: "CASE WHEN first_ts >= $%[1]d THEN first_ts WHEN last_ts >= $%[1]d THEN last_ts END",
		order:     "ASC",
	}
)

// nearestOf returns the nearest match in a time window in a direction, also a short-lived one of the machines, or nil.
func (q *Queries) nearestOf(
	ctx context.Context, match Match, from, to snapshot.Time, view View, machines map[int32]string,
	direction nearestDirection,
) (*NearestMatch, error) {
	listed, err := q.nearestIn(ctx, match, from, to, view, direction)
	if err != nil {
		return nil, err
	}
	// A short-lived process is only considered if it is nearer.
	if listed != nil && direction == firstAfter {
		to = listed.Timestamp - 1
	} else if listed != nil {
		from = listed.Timestamp
	}
	if from >= to {
		return listed, nil
	}
	shortLived, err := q.nearestShortLived(ctx, match, from, to, machines, direction)
	if shortLived == nil {
		shortLived = listed
	}
	return shortLived, err
}

// nearestIn returns the nearest match in a time window in a direction, without short-lived processes, or nil.
func (q *Queries) nearestIn(
	ctx context.Context, match Match, from, to snapshot.Time, view View, direction nearestDirection,
) (*NearestMatch, error) {
	edge := to
	if direction == firstAfter {
		edge = from
	}
	// Where only rollups are left, a part of an hour cannot be read, so the window is extended to whole hours.
	window, err := q.planOf(ctx, 0, from, to, edge >= q.Horizon())
	if err != nil || len(window.segments) == 0 {
		return nil, err
	}
	args := []any{firstDay(from), to.Std(), view.All, view.tags(), fleetProcesses}
	rows, err := q.pool.Query(ctx, `SELECT p.id, p.machine FROM processes p JOIN machines m ON m.id = p.machine
		WHERE ($3 OR m.tags && $4) AND p.last_day >= $1
			AND (p.started_at IS NULL OR p.started_at < $2::timestamptz + interval '1 day')
			AND `+match.condition(&args)+` ORDER BY `+direction.processes+` LIMIT $5`, args...)
	if err != nil {
		return nil, fmt.Errorf("find processes: %w", err)
	}
	ids, keys, err := collectKeys(rows)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	slices.Sort(keys)
	of := scope{machines: slices.Compact(keys), processes: ids, withoutStart: direction == firstAfter}
	sums, args := window.sums(of)
	args = append(args, edge.Std())
	timestamp := fmt.Sprintf(direction.timestamp, len(args))
	var nearest NearestMatch
	var started pgtype.Timestamptz
	var at time.Time
	var machine int32
	var process int64
	err = q.pool.QueryRow(ctx, `SELECT m.id, p.id, m.machine_id, p.pid, p.started_at, p.name, p.command_line, x.exit_code,
			x.exit_signal, u.at
		FROM (SELECT process, `+timestamp+` AS at FROM (`+sums+`) used) u
		JOIN processes p ON p.id = u.process JOIN machines m ON m.id = p.machine
		CROSS JOIN LATERAL `+exitStatusSQL+` x
		WHERE u.at IS NOT NULL ORDER BY u.at `+direction.order+`, u.process LIMIT 1`, args...).
		Scan(&machine, &process, &nearest.MachineID, &nearest.PID, &started, &nearest.Name, &nearest.CommandLine,
			&nearest.Exit.ExitCode, &nearest.Exit.ExitSignal, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the nearest sample of a process: %w", err)
	}
	nearest.StartedAt = snapshot.TimeOf(started.Time)
	nearest.Timestamp = snapshot.TimeOf(at)
	containing, err := q.containing(ctx, machine, process, nearest.Timestamp)
	if direction == lastBefore || containing >= edge {
		nearest.Timestamp = containing
	}
	return &nearest, err
}

// containing returns the snapshot with a process at a time, or the one before if it has ended there. It returns the
// time itself if neither has the process.
func (q *Queries) containing(
	ctx context.Context, machine int32, process int64, at snapshot.Time,
) (snapshot.Time, error) {
	var ts time.Time
	err := q.pool.QueryRow(ctx, `SELECT e.ts
		FROM (SELECT ts, full_ts FROM snapshots WHERE machine = $1 AND ts <= $3 AND ts > $4 ORDER BY ts DESC LIMIT 2) e
		CROSS JOIN LATERAL `+lastSampleSQL+` l WHERE `+isRunningSQL+` ORDER BY e.ts DESC LIMIT 1`,
		machine, []int64{process}, at.Std(), at.Add(-2*snapshot.MaxIntervalMS*time.Millisecond).Std()).Scan(&ts)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the snapshot with a process: %w", err)
	}
	return snapshot.TimeOf(ts), nil
}

// collectKeys reads the ids of processes and of their machines.
func collectKeys(rows pgx.Rows) (processes []int64, machines []int32, err error) {
	var process int64
	var machine int32
	if _, err := pgx.ForEachRow(rows, []any{&process, &machine}, func() error {
		processes, machines = append(processes, process), append(machines, machine)
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("find processes: %w", err)
	}
	return processes, machines, nil
}
