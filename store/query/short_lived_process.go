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

// shortLivedSQL selects the columns of readShortLivedProcess of rows s of the view short_lived.
const shortLivedSQL = `SELECT s.ts, s.pid, s.started_at, s.elapsed_ms, s.cpu_us, s.memory_max, s.read_bytes,
		s.write_bytes, s.exit_code, s.exit_signal, coalesce(s.ppid, 0), c.name, ` + commandLineSQL + `, o.user_name,
		o.cgroup
	FROM (%s) s JOIN commands c ON c.id = s.command JOIN owners o ON o.id = s.owner`

// lookupSnapshots is how many snapshots are searched for a short-lived process. It is in the first one after its start.
// Late snapshots that were inserted before that one do not have it.
const lookupSnapshots = 100

// shortLivedAt returns the short-lived process with a pid and a start time, or ErrNoProcess.
func (q *Queries) shortLivedAt(
	ctx context.Context, machine int32, pid int32, startedAt snapshot.Time,
) (*ProcessLifetime, error) {
	latest := startedAt.Add(snapshot.MaxIntervalMS * time.Millisecond)
	var last *time.Time
	if err := q.pool.QueryRow(ctx, `SELECT max(ts) FROM (SELECT ts FROM snapshots
			WHERE machine = $1 AND ts >= $2 AND ts <= $3 ORDER BY ts LIMIT $4) s`,
		machine, startedAt.Std(), latest.Std(), lookupSnapshots).Scan(&last); err != nil {
		return nil, fmt.Errorf("look up the snapshot of a short-lived process: %w", err)
	}
	if last == nil {
		return nil, ErrNoProcess
	}
	args := []any{machine, pid, startedAt.Std()}
	inSpan := rowsIn("s", startedAt.Std(), *last, &args)
	return q.readShortLivedProcess(ctx, fmt.Sprintf(shortLivedSQL, `SELECT s.* FROM short_lived s
		WHERE s.machine = $1 AND s.pid = $2 AND s.started_at = $3 AND `+inSpan+` LIMIT 1`), args...)
}

// newestShortLived returns the last short-lived process with a pid in the last hour of a machine, or ErrNoProcess.
func (q *Queries) newestShortLived(ctx context.Context, machine int32, pid int32) (*ProcessLifetime, error) {
	var last pgtype.Timestamptz
	if err := q.pool.QueryRow(ctx, `SELECT last_snapshot FROM machines WHERE id = $1`, machine).Scan(&last); err != nil {
		return nil, fmt.Errorf("read the last snapshot of a machine: %w", err)
	}
	args := []any{machine, pid}
	inHour := rowsIn("s", last.Time.Add(-time.Hour), last.Time, &args)
	return q.readShortLivedProcess(ctx, fmt.Sprintf(shortLivedSQL, `SELECT s.* FROM short_lived s
		WHERE s.machine = $1 AND s.pid = $2 AND `+inHour+` ORDER BY s.ts DESC LIMIT 1`), args...)
}

// readShortLivedProcess returns the first process that a statement with the columns of shortLivedSQL selects, or
// ErrNoProcess.
func (q *Queries) readShortLivedProcess(ctx context.Context, sql string, args ...any) (*ProcessLifetime, error) {
	var at, started time.Time
	var id IdentityVersion
	point := ProcessPoint{Processes: 1, State: snapshot.StateEnded}
	lifetime := &ProcessLifetime{shortLived: &point}
	dest := []any{&at, &lifetime.PID, &started, &point.ElapsedMS, &point.CPUTime, &point.MemoryMax, &point.ReadBytes,
		&point.WriteBytes, &lifetime.Exit.ExitCode, &lifetime.Exit.ExitSignal}
	err := q.pool.QueryRow(ctx, sql, args...).Scan(append(dest, schema.IdentityDest(&id.Identity)...)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNoProcess
	}
	if err != nil {
		return nil, fmt.Errorf("look up a short-lived process: %w", err)
	}
	lifetime.StartedAt, lifetime.Identities = snapshot.TimeOf(started), []IdentityVersion{id}
	point.Timestamp, point.CPUTimeMax = snapshot.TimeOf(at), point.CPUTime
	if point.MemoryMax != nil {
		point.MemoryAvg = new(float64(*point.MemoryMax))
	}
	return lifetime, nil
}

// shortLivedHistory returns the point of a short-lived process in (from, to]. It is a sample or, in other resolutions
// than ResolutionRaw, the bucket with that sample.
func (l *ProcessLifetime) shortLivedHistory(from, to snapshot.Time, resolution Resolution, limit int) []ProcessPoint {
	point := *l.shortLived
	if resolution != ResolutionRaw {
		// A bucket is open at its start.
		point.Timestamp = snapshot.TimeOf((point.Timestamp - 1).Std().UTC().Truncate(resolution.Width()))
		point.State = ""
		from = snapshot.TimeOf(from.Std().UTC().Truncate(resolution.Width())) - 1
		to--
	}
	if point.Timestamp <= from || point.Timestamp > to || limit < 1 {
		return []ProcessPoint{}
	}
	return []ProcessPoint{point}
}
