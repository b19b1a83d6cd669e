package query

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/textsearch"
)

// Match selects processes. At least one field must be set, and a process must match all fields that
// are.
type Match struct {
	// Name is the whole name.
	Name string
	// Command is a part of the command line, ignoring case. If it contains the wildcards * (any text) or
	// ? (any character), it must match the whole command line. [*] and [?] are the characters
	// themselves.
	Command string
	// Text matches the name or the command line, with the rules of Command.
	Text string
	// Exit matches how the process ended, at any time.
	Exit ExitFilter
}

// condition returns the condition on processes p. It adds its parameters to those of the query.
func (m Match) condition(args *[]any) string {
	parameter := parameterOf(args)
	condition := m.textCondition(parameter, "p.name", "p.command_line")
	if m.Exit != (ExitFilter{}) {
		condition += " AND " + m.Exit.condition(parameter)
	}
	return condition
}

// ProcessMatch is a machine and its processes that match.
type ProcessMatch struct {
	MachineID string
	// Timestamp is the time of the snapshot that contains them.
	Timestamp snapshot.Time
	Processes []snapshot.Process
}

// FleetPage selects machines: the first Limit matching machines after a machine id.
type FleetPage struct {
	View  View
	After string
	Limit int
}

const (
	// fleetStride is the number of machines that are searched together.
	fleetStride = 32
	// concurrentReads is how many reads of one request run at the same time.
	concurrentReads = 4
	// fleetMaxMachines is the maximum number of machines that are searched for one page.
	fleetMaxMachines = 512
)

// FleetAt returns the machines on which matching processes ran at a time, except those that recorded
// nothing at that time. Machines whose last snapshot is the last of all, and was more than ten minutes and
// two intervals old at that time, are assumed to have been off. next is the value of After for the next
// page, "" if there is none.
func (q *Queries) FleetAt(
	ctx context.Context, match Match, at snapshot.Time, page FleetPage,
) (found []ProcessMatch, next string, err error) {
	defer q.observe("fleet_at", time.Now())
	after := page.After
	for searched := 0; searched < fleetMaxMachines; searched += fleetStride {
		machines, err := q.candidates(ctx, page.View, match, false, at, after, fleetStride)
		if err != nil {
			return nil, "", err
		}
		seen, err := q.matchesOn(ctx, machines, match, at)
		if err != nil {
			return nil, "", err
		}
		for i, one := range seen {
			if one == nil {
				continue
			}
			if found = append(found, *one); len(found) == page.Limit &&
				(i < len(seen)-1 || len(machines) == fleetStride) {
				return found, one.MachineID, nil
			}
		}
		if len(machines) < fleetStride {
			return found, "", nil
		}
		after = machines[len(machines)-1]
	}
	return found, after, nil
}

// candidates returns the next machines in the view that ran matching processes on or after the day of since. With
// shortLived, they include all that may have run short-lived ones.
func (q *Queries) candidates(
	ctx context.Context, view View, match Match, shortLived bool, since snapshot.Time, after string, limit int,
) ([]string, error) {
	args := []any{firstDay(since), after, limit, view.All, view.tags()}
	ran := `EXISTS (SELECT FROM processes p WHERE p.machine = m.id AND p.last_day >= $1
		AND ` + match.condition(&args) + `)`
	if shortLived {
		ran += ` OR EXISTS (SELECT FROM commands c WHERE c.machine = m.id AND c.last_day >= $1
			AND ` + match.templateCondition(parameterOf(&args), false) + `)`
	}
	rows, err := q.pool.Query(ctx, `SELECT m.machine_id FROM machines m
		WHERE m.machine_id > $2 AND ($4 OR m.tags && $5) AND (`+ran+`) ORDER BY m.machine_id LIMIT $3`, args...)
	if err != nil {
		return nil, fmt.Errorf("find machines: %w", err)
	}
	machines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find machines: %w", err)
	}
	return machines, nil
}

// longestHold is the longest time for which a snapshot can hold: until the next one, if that is no more than one and a
// half of its interval later.
const longestHold = snapshot.MaxIntervalMS * time.Millisecond * 3 / 2

// firstDay returns the first day on which a process that runs at a time can have its last sample: it has one in each
// run.
func firstDay(at snapshot.Time) time.Time {
	return backend.StartOfDay(at.Add(-longestHold - snapshot.MaxRunDuration).Std())
}

// matchesOn returns the matches of each machine at a time, nil where there are none.
func (q *Queries) matchesOn(
	ctx context.Context, machines []string, match Match, at snapshot.Time,
) ([]*ProcessMatch, error) {
	seen := make([]*ProcessMatch, len(machines))
	err := forEach(ctx, len(machines), func(ctx context.Context, i int) (err error) {
		seen[i], err = q.matchOn(ctx, machines[i], match, at)
		return err
	})
	return seen, err
}

// forEach calls read for 0 to n-1, concurrentReads of them at the same time. It returns the first error, and then
// cancels the context of the others.
func forEach(ctx context.Context, n int, read func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	var readers sync.WaitGroup
	for range min(concurrentReads, n) {
		readers.Go(func() {
			for i := range work {
				if err := read(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case work <- i:
		case <-ctx.Done():
		}
	}
	close(work)
	readers.Wait()
	return context.Cause(ctx)
}

func (q *Queries) matchOn(ctx context.Context, machineID string, match Match, at snapshot.Time) (*ProcessMatch, error) {
	state, err := q.At(ctx, machineID, at, true)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if at.Sub(state.Timestamp) > snapshot.MaxRunDuration+2*time.Duration(state.IntervalMS)*time.Millisecond {
		return nil, nil
	}
	matcher := match.matcher()
	hits := slices.DeleteFunc(state.Processes, func(p snapshot.Process) bool { return !matcher(&p.Identity) })
	if len(hits) == 0 {
		return nil, nil
	}
	if err := q.setExits(ctx, machineID, hits); err != nil {
		return nil, err
	}
	hits = slices.DeleteFunc(hits, func(p snapshot.Process) bool { return !match.Exit.matches(p.Exit) })
	if len(hits) == 0 {
		return nil, nil
	}
	coverage, err := q.Coverage(ctx, at, state)
	if err != nil {
		return nil, err
	}
	if coverage.InGap && coverage.Next != 0 { // without a next snapshot, the data may only be late
		return nil, nil
	}
	return &ProcessMatch{MachineID: machineID, Timestamp: state.Timestamp, Processes: hits}, nil
}

// matcher returns a function that reports whether an identity matches, like condition does. It ignores Exit.
func (m Match) matcher() func(*snapshot.Identity) bool {
	command, text := textsearch.Parse(m.Command).Matcher(), textsearch.Parse(m.Text).Matcher()
	return func(id *snapshot.Identity) bool {
		if m.Name != "" && id.Name != m.Name {
			return false
		}
		line := textsearch.Fold(id.CommandLine)
		return command(line) && (text(line) || text(textsearch.Fold(id.Name)))
	}
}
