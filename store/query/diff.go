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
	// UnseenProcesses and DroppedSnapshots add up what the agent reported as missing in the snapshots between the two.
	UnseenProcesses, DroppedSnapshots int64
}

// Diff compares the processes of a machine at two times, and adds up what they used between them.
func (q *Queries) Diff(ctx context.Context, machineID string, from, to snapshot.Time) (*Diff, error) {
	defer q.observe("diff", time.Now())
	machine, err := q.machineKey(ctx, machineID)
	if err != nil {
		return nil, err
	}
	at, states, coverages := [2]snapshot.Time{from, to}, [2]*snapshot.State{}, [2]Coverage{}
	diff := new(Diff)
	if err := forEach(ctx, len(at)+1, func(ctx context.Context, i int) (err error) {
		if i == len(at) {
			row := q.pool.QueryRow(ctx, missedSQL, machine, from.Std(), to.Std())
			return row.Scan(&diff.UnseenProcesses, &diff.DroppedSnapshots)
		}
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
	diff.From, diff.To, diff.FromCoverage, diff.ToCoverage = *before, *after, coverages[0], coverages[1]
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

// missedSQL adds up what agents report as missing. A sum is at most the largest amount of a snapshot.
const missedSQL = `SELECT least(coalesce(sum(unseen_processes), 0), 9007199254740991)::bigint,
		least(coalesce(sum(dropped_snapshots), 0), 9007199254740991)::bigint
	FROM snapshots WHERE machine = $1 AND ts > $2 AND ts <= $3`

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
		used[list[i].ProcessKey] = &list[i]
	}
	return used, err
}

func isNotFound(err error) bool {
	return errors.Is(err, snapshot.ErrNoMachine) || errors.Is(err, snapshot.ErrNoSnapshot)
}
