package query

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// shortLivedMachines returns the ids of the machines in a view that can have run short-lived processes that match, by
// key.
func (q *Queries) shortLivedMachines(ctx context.Context, match Match, view View) (map[int32]string, error) {
	args := []any{view.All, view.tags()}
	rows, err := q.pool.Query(ctx, `SELECT m.id, m.machine_id FROM machines m WHERE ($1 OR m.tags && $2)
		AND EXISTS (SELECT FROM commands c WHERE c.machine = m.id
			AND `+match.templateCondition(parameterOf(&args), false)+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("find the machines of short-lived processes: %w", err)
	}
	machines := make(map[int32]string)
	var key int32
	var machineID string
	if _, err := pgx.ForEachRow(rows, []any{&key, &machineID}, func() error {
		machines[key] = machineID
		return nil
	}); err != nil {
		return nil, fmt.Errorf("find the machines of short-lived processes: %w", err)
	}
	return machines, nil
}

// nearestShortLived returns the nearest short-lived process that matches in (from, to] in a direction, or nil. The
// machines are those of shortLivedMachines.
func (q *Queries) nearestShortLived(
	ctx context.Context, match Match, from, to snapshot.Time, machines map[int32]string, direction nearestDirection,
) (*NearestMatch, error) {
	keys := slices.Sorted(maps.Keys(machines))
	var mu sync.Mutex // for nearest
	var nearest *NearestMatch
	err := forEach(ctx, len(keys), func(ctx context.Context, i int) error {
		one, err := q.nearestShortLivedOn(ctx, match, keys[i], from, to, direction)
		if one == nil || err != nil {
			return err
		}
		one.MachineID = machines[keys[i]]
		mu.Lock()
		defer mu.Unlock()
		if nearest == nil || one.Timestamp < nearest.Timestamp == (direction == firstAfter) {
			nearest = one
		}
		return nil
	})
	return nearest, err
}

// nearestShortLivedOn returns the nearest short-lived process of a machine, without MachineID, or nil.
func (q *Queries) nearestShortLivedOn(
	ctx context.Context, match Match, machine int32, from, to snapshot.Time, direction nearestDirection,
) (*NearestMatch, error) {
	texts, ok, err := q.textsOf(ctx, machine, match, from)
	if !ok || err != nil {
		return nil, err
	}
	args := []any{machine}
	inWindow := rowsIn("s", from.Std(), to.Std(), &args)
	var one NearestMatch
	var started, at time.Time
	err = q.pool.QueryRow(ctx, `SELECT s.pid, s.started_at, c.name, `+commandLineSQL+`, s.exit_code, s.exit_signal, s.ts
		FROM short_lived s JOIN commands c ON c.id = s.command
		WHERE s.machine = $1 AND `+inWindow+` AND `+match.shortLivedCondition(texts, &args)+`
		ORDER BY s.ts `+direction.order+`, s.pid LIMIT 1`,
		append([]any{pgx.QueryExecModeExec}, args...)...).
		Scan(&one.PID, &started, &one.Name, &one.CommandLine, &one.Exit.ExitCode, &one.Exit.ExitSignal, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the nearest short-lived process: %w", err)
	}
	one.StartedAt, one.Timestamp = snapshot.TimeOf(started), snapshot.TimeOf(at)
	return &one, nil
}
