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
	// ShortLived is the sum of all short-lived processes between the two times. Changes has those with the most CPU
	// time, up to a limit, and none before ShortLivedFrom.
	ShortLived ShortLivedTotal
	// UnlistedShortLived is how many of them are not in Changes.
	UnlistedShortLived int64
	// ShortLivedFrom is the time from which Changes has short-lived processes, 0 if none have expired.
	ShortLivedFrom snapshot.Time
	// UnseenProcesses and DroppedSnapshots add up what the agent reported as missing in the snapshots between the two.
	UnseenProcesses, DroppedSnapshots int64
}

// Diff compares the processes of a machine at two times, and adds up what they used between them. Of the short-lived
// processes, at most shortLived are in its changes.
func (q *Queries) Diff(ctx context.Context, machineID string, from, to snapshot.Time, shortLived int) (*Diff, error) {
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
	used, err := q.usedBetween(ctx, machine, before.Timestamp, after.Timestamp, shortLived, diff)
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

// usedBetween returns the usage in (from, to] by process, and sets what the comparison says about short-lived ones.
func (q *Queries) usedBetween(
	ctx context.Context, machine int32, from, to snapshot.Time, shortLived int, diff *Diff,
) (map[snapshot.ProcessKey]*Usage, error) {
	window, err := q.planOf(ctx, machine, from, to, true)
	if err != nil || len(window.segments) == 0 {
		return nil, err
	}
	of := scope{machines: []int32{machine}}
	if err := q.findExpired(ctx, &window, of); err != nil {
		return nil, err
	}
	diff.ShortLivedFrom = window.ShortLivedFrom()
	var lists [2][]Usage
	if err := forEach(ctx, len(lists)+1, func(ctx context.Context, i int) (err error) {
		switch i {
		case 0:
			lists[i], err = q.usages(ctx, window, of, UsageQuery{Order: ByCPU, Limit: 10 * snapshot.MaxProcesses})
		case 1:
			lists[i], err = q.topShortLived(ctx, window, of, ByCPU, shortLived)
		default:
			diff.ShortLived, err = q.totalShortLived(ctx, window, of)
		}
		return err
	}); err != nil {
		return nil, err
	}
	// Between the two reads, late snapshots can add processes.
	diff.UnlistedShortLived = max(0, diff.ShortLived.Processes-int64(len(lists[1])))
	used := make(map[snapshot.ProcessKey]*Usage, len(lists[0])+len(lists[1]))
	for _, list := range lists {
		for i := range list {
			used[list[i].ProcessKey] = &list[i]
		}
	}
	return used, nil
}

func isNotFound(err error) bool {
	return errors.Is(err, snapshot.ErrNoMachine) || errors.Is(err, snapshot.ErrNoSnapshot)
}
