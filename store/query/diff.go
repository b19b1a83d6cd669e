package query

import (
	"context"
	"errors"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Change describes the difference of a process between two times. Used is its usage between them, with the times of its
// samples in that window.
type Change struct {
	snapshot.ProcessChange
	Used *Usage
}

// Diff is the difference between two states of a machine.
type Diff struct {
	From, To                 snapshot.State // without processes
	FromCoverage, ToCoverage Coverage
	Changes                  []Change // in no particular order
}

// Diff compares the processes of a machine at two times, and adds up what they used between them.
func (q *Queries) Diff(ctx context.Context, machineID string, from, to snapshot.Time) (*Diff, error) {
	defer q.observe("diff", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, err
	}
	at, states, coverages := [2]snapshot.Time{from, to}, [2]*snapshot.State{}, [2]Coverage{}
	if err := forEach(ctx, len(at), func(ctx context.Context, i int) (err error) {
		states[i], coverages[i], err = q.AtWithCoverage(ctx, machineID, at[i], true)
		return err
	}); err != nil {
		return nil, err
	}
	before, after := states[0], states[1]
	used, err := q.usedBetween(ctx, machine, before.Timestamp, after.Timestamp)
	if err != nil {
		return nil, err
	}
	diff := &Diff{From: *before, To: *after, FromCoverage: coverages[0], ToCoverage: coverages[1]}
	diff.From.Processes, diff.To.Processes = nil, nil
	known := make(map[snapshot.ProcessKey]bool, len(before.Processes))
	for _, change := range snapshot.CompareProcesses(before.Processes, after.Processes) {
		one := change.Before
		if one == nil {
			one = change.After
		}
		known[one.ProcessKey] = true
		diff.Changes = append(diff.Changes, Change{ProcessChange: change, Used: used[one.ProcessKey]})
	}
	for key, usage := range used {
		if !known[key] {
			diff.Changes = append(diff.Changes, Change{Used: usage})
		}
	}
	return diff, nil
}

// usedBetween returns the usage in (from, to] by process.
func (q *Queries) usedBetween(
	ctx context.Context, machine int32, from, to snapshot.Time,
) (map[snapshot.ProcessKey]*Usage, error) {
	window, err := q.planOf(ctx, machine, from, to, true)
	if err != nil || len(window.segments) == 0 {
		return nil, err
	}
	list, err := q.usages(
		ctx, window, scope{machines: []int32{machine}}, UsageQuery{Order: ByCPU, Limit: 10 * snapshot.MaxProcesses},
	)
	used := make(map[snapshot.ProcessKey]*Usage, len(list))
	for i := range list {
		used[snapshot.ProcessKey{PID: list[i].PID, StartedAt: list[i].StartedAt}] = &list[i]
	}
	return used, err
}

func isNotFound(err error) bool {
	return errors.Is(err, snapshot.ErrNoMachine) || errors.Is(err, snapshot.ErrNoSnapshot)
}
