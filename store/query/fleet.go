package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
}

// condition returns the condition on processes p. It adds its parameters to those of the query.
func (m Match) condition(args *[]any) string {
	parameter := func(value any) string {
		*args = append(*args, value)
		return fmt.Sprintf("$%d", len(*args))
	}
	conditions := []string{"true"}
	if m.Name != "" {
		conditions = append(conditions, "p.name = "+parameter(m.Name))
	}
	if m.Command != "" {
		conditions = append(conditions, textsearch.Parse(m.Command).Condition(parameter, "p.command_line"))
	}
	if m.Text != "" {
		conditions = append(conditions, textsearch.Parse(m.Text).Condition(parameter, "p.command_line", "p.name"))
	}
	return strings.Join(conditions, " AND ")
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
	// fleetReaders is how many of these are read concurrently.
	fleetReaders = 4
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
		machines, err := q.candidates(ctx, page.View, match, at, after, fleetStride)
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

// candidates returns the next machines in the view that ran matching processes on or after the day of
// since.
func (q *Queries) candidates(
	ctx context.Context, view View, match Match, since snapshot.Time, after string, limit int,
) ([]string, error) {
	args := []any{firstDay(since), after, limit, view.All, view.tags()}
	rows, err := q.pool.Query(ctx, `
		SELECT m.machine_id FROM machines m WHERE m.machine_id > $2 AND ($4 OR m.tags && $5)
		AND EXISTS (SELECT FROM processes p WHERE p.machine = m.id AND p.last_day >= $1 AND `+match.condition(&args)+`)
		ORDER BY m.machine_id LIMIT $3`, args...)
	if err != nil {
		return nil, fmt.Errorf("find machines: %w", err)
	}
	machines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find machines: %w", err)
	}
	return machines, nil
}

// firstDay returns the first day on which a process that runs at a time can have its last sample: it has one in each
// run.
func firstDay(at snapshot.Time) time.Time {
	return backend.StartOfDay(at.Add(-snapshot.MaxRunDuration).Std())
}

// matchesOn returns the matches of each machine at a time, nil where there are none.
func (q *Queries) matchesOn(
	ctx context.Context, machines []string, match Match, at snapshot.Time,
) ([]*ProcessMatch, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := make([]*ProcessMatch, len(machines))
	work := make(chan int)
	var readers sync.WaitGroup
	for range min(fleetReaders, len(machines)) {
		readers.Go(func() {
			for i := range work {
				one, err := q.matchOn(ctx, machines[i], match, at)
				if err != nil {
					cancel(err)
					return
				}
				seen[i] = one
			}
		})
	}
	for i := range machines {
		select {
		case work <- i:
		case <-ctx.Done():
		}
	}
	close(work)
	readers.Wait()
	return seen, context.Cause(ctx)
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
	coverage, err := q.Coverage(ctx, at, state)
	if err != nil {
		return nil, err
	}
	if coverage.InGap && coverage.Next != 0 { // without a next snapshot, the data may only be late
		return nil, nil
	}
	return &ProcessMatch{MachineID: machineID, Timestamp: state.Timestamp, Processes: hits}, nil
}

// matcher returns a function that reports whether an identity matches, like condition does.
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

// WindowMatches is a page of the matching processes of a time window.
type WindowMatches struct {
	// Window is the window that was read.
	Window WindowPlan
	// Usages is what the processes used in the window, by machine.
	Usages []Usage
	// Truncated is whether the machines of the page have more matching processes than Usages.
	Truncated bool
	// Next is the value of FleetPage.After for the next page, "" if there is none.
	Next string
}

// FleetWindow returns the matching processes of a time window and what they used in it. A page has
// page.Limit machines and at most fleetProcesses identities of processes.
func (q *Queries) FleetWindow(
	ctx context.Context, match Match, from, to snapshot.Time, page FleetPage,
) (found WindowMatches, err error) {
	defer q.observe("fleet_window", time.Now())
	if found.Window, err = q.planOf(ctx, 0, from, to, false); err != nil {
		return found, err
	}
	machines, err := q.candidates(ctx, page.View, match, from, page.After, page.Limit)
	if err != nil || len(machines) == 0 || len(found.Window.segments) == 0 {
		return found, err
	}
	if len(machines) == page.Limit {
		found.Next = machines[len(machines)-1]
	}
	args := []any{firstDay(from), machines, to.Std(), fleetProcesses + 1}
	rows, err := q.pool.Query(ctx, `SELECT p.id, p.machine FROM processes p JOIN machines m ON m.id = p.machine
		WHERE m.machine_id = ANY($2) AND p.last_day >= $1 AND (p.started_at IS NULL OR p.started_at < $3)
		AND `+match.condition(&args)+` LIMIT $4`, args...)
	if err != nil {
		return found, fmt.Errorf("find processes: %w", err)
	}
	ids, keys, err := collectKeys(rows)
	if err != nil {
		return found, err
	}
	if found.Truncated = len(ids) > fleetProcesses; found.Truncated {
		ids, keys = ids[:fleetProcesses], keys[:fleetProcesses]
	}
	slices.Sort(keys)
	if len(keys) == 0 {
		return found, nil
	}
	of := scope{machines: slices.Compact(keys), processes: ids}
	found.Usages, err = q.usages(ctx, found.Window, of, UsageQuery{Order: ByCPU, Limit: fleetProcesses})
	slices.SortStableFunc(found.Usages, func(a, b Usage) int { return cmp.Compare(a.MachineID, b.MachineID) })
	return found, err
}

// fleetProcesses is the maximum number of identities of processes per page.
const fleetProcesses = 10_000

// NearestMatch is a process that matches, and a time at which it ran.
type NearestMatch struct {
	MachineID string
	snapshot.ProcessKey
	Name        string
	CommandLine string
	// Timestamp is the time of a sample of the process.
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
	for _, span := range nearestSpans {
		before, err = q.nearestIn(ctx, match, from.Add(-span), from, view, lastBefore)
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
		if after, err = q.nearestIn(ctx, match, to, to.Add(span), view, firstAfter); err != nil {
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
		processes: "least(p.last_day, ($2::timestamptz AT TIME ZONE 'UTC')::date) DESC, p.started_at DESC NULLS LAST",
		timestamp: "CASE WHEN last_ts <= $%[1]d THEN last_ts WHEN first_ts <= $%[1]d THEN first_ts END",
		order:     "DESC",
	}
	firstAfter = nearestDirection{
		processes: "greatest(p.started_at, $1)",
		timestamp: "CASE WHEN first_ts >= $%[1]d THEN first_ts WHEN last_ts >= $%[1]d THEN last_ts END",
		order:     "ASC",
	}
)

// nearestIn returns the nearest match in a time window in a direction, or nil.
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
		WHERE ($3 OR m.tags && $4) AND p.last_day >= $1 AND (p.started_at IS NULL OR p.started_at < $2)
		AND `+match.condition(&args)+` ORDER BY `+direction.processes+` LIMIT $5`, args...)
	if err != nil {
		return nil, fmt.Errorf("find processes: %w", err)
	}
	ids, keys, err := collectKeys(rows)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	slices.Sort(keys)
	sums, args := window.sums(scope{machines: slices.Compact(keys), processes: ids})
	args = append(args, edge.Std())
	timestamp := fmt.Sprintf(direction.timestamp, len(args))
	var nearest NearestMatch
	var started pgtype.Timestamptz
	var at time.Time
	err = q.pool.QueryRow(ctx, `SELECT m.machine_id, p.pid, p.started_at, p.name, p.command_line, u.at
		FROM (SELECT process, `+timestamp+` AS at FROM (`+sums+`) used) u
		JOIN processes p ON p.id = u.process JOIN machines m ON m.id = p.machine
		WHERE u.at IS NOT NULL ORDER BY u.at `+direction.order+`, u.process LIMIT 1`, args...).
		Scan(&nearest.MachineID, &nearest.PID, &started, &nearest.Name, &nearest.CommandLine, &at)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the nearest sample of a process: %w", err)
	}
	nearest.StartedAt, nearest.Timestamp = snapshot.TimeOf(started.Time), snapshot.TimeOf(at)
	return &nearest, nil
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
