package query

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

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

// fleetProcesses is the maximum number of processes per page.
const fleetProcesses = 10_000

// FleetWindow returns the matching processes of a time window and what they used in it. A page has page.Limit machines
// and at most fleetProcesses processes. If there are more, those with the least CPU time are left out, of the machines
// with the most processes.
func (q *Queries) FleetWindow(
	ctx context.Context, match Match, from, to snapshot.Time, page FleetPage,
) (found WindowMatches, err error) {
	defer q.observe("fleet_window", time.Now())
	if found.Window, err = q.planOf(ctx, 0, from, to, false); err != nil {
		return found, err
	}
	if len(found.Window.segments) == 0 {
		return found, nil
	}
	all, err := q.scopeOf(ctx, "", page.View)
	if err == nil {
		err = q.findExpired(ctx, &found.Window, all)
	}
	if err != nil {
		return found, err
	}
	machines, err := q.candidates(ctx, page.View, match, true, from, page.After, page.Limit)
	if err != nil || len(machines) == 0 {
		return found, err
	}
	if len(machines) == page.Limit {
		found.Next = machines[len(machines)-1]
	}
	var mu sync.Mutex // for what follows
	lists, total := make([][]Usage, len(machines)), 0
	if err := forEach(ctx, len(machines), func(ctx context.Context, i int) error {
		list, err := q.machineUsages(ctx, found.Window, machines[i], match)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		lists[i] = list
		if total += len(list); total > fleetProcesses {
			found.Truncated = true
			total = shorten(lists, fleetProcesses)
		}
		return nil
	}); err != nil {
		return found, err
	}
	for _, list := range lists {
		found.Usages = append(found.Usages, list...)
	}
	return found, nil
}

// machineUsages returns the usages of a machine's matching processes, those with the most CPU time first. There is at
// most one more than fleetProcesses.
func (q *Queries) machineUsages(
	ctx context.Context, window WindowPlan, machineID string, match Match,
) ([]Usage, error) {
	of, err := q.scopeOf(ctx, machineID, AllMachines())
	if err != nil {
		if isNotFound(err) { // it was deleted
			return nil, nil
		}
		return nil, err
	}
	list, err := q.listedUsages(ctx, window, of, match)
	if err != nil {
		return nil, err
	}
	shortLived, err := q.matchingShortLived(ctx, window, of.machines[0], match)
	if err != nil {
		return nil, err
	}
	return mergeUsages(list, shortLived, ByCPU, fleetProcesses+1), nil
}

// listedUsages returns the usages of a machine's matching processes without the short-lived ones. There is at most one
// more than fleetProcesses.
func (q *Queries) listedUsages(ctx context.Context, window WindowPlan, of scope, match Match) (_ []Usage, err error) {
	// The samples of a short window are read for all processes. For a long one, an index can leave out most rows.
	if window.To.Sub(window.From) > exactSpan {
		if of.processes, err = q.matchingProcesses(ctx, of.machines[0], match, window); err != nil {
			return nil, err
		}
		switch n := len(of.processes); {
		case n == 0:
			return nil, nil
		case n > fleetProcesses:
			of.processes = nil
		}
	}
	return q.usages(ctx, window, of, UsageQuery{Order: ByCPU, Match: match, Limit: fleetProcesses + 1})
}

// matchingShortLived returns a machine's short-lived processes that match, those with the most CPU time first, but at
// most one more than fleetProcesses.
func (q *Queries) matchingShortLived(
	ctx context.Context, window WindowPlan, machine int32, match Match,
) ([]Usage, error) {
	from, to, ok := window.shortLivedBounds()
	if !ok {
		return nil, nil
	}
	texts, ok, err := q.textsOf(ctx, machine, match, snapshot.TimeOf(from))
	if !ok || err != nil {
		return nil, err
	}
	args := []any{machine, fleetProcesses + 1, int64(window.To - window.From)}
	inWindow := rowsIn("s", from, to, &args)
	return q.readShortLived(ctx, shortLivedUsageSQL(`SELECT s.* FROM short_lived s JOIN commands c ON c.id = s.command
			WHERE s.machine = $1 AND `+inWindow+` AND `+match.shortLivedCondition(texts, &args)+`
			ORDER BY s.cpu_us DESC NULLS LAST, s.memory_max DESC NULLS LAST, s.ts, s.pid LIMIT $2`, 3)+
		` ORDER BY s.cpu_us DESC NULLS LAST, s.memory_max DESC NULLS LAST, s.ts, s.pid`,
		append([]any{pgx.QueryExecModeExec}, args...)...)
}

// matchingProcesses returns the identities of a machine's processes that match and can have been sampled in a window,
// but at most one more than fleetProcesses. Start times can be ahead of timestamps, because they are those of the clock
// at boot.
func (q *Queries) matchingProcesses(
	ctx context.Context, machine int32, match Match, window WindowPlan,
) ([]int64, error) {
	args := []any{machine, firstDay(window.From), window.To.Std(), fleetProcesses + 1}
	rows, err := q.pool.Query(ctx, `SELECT p.id FROM processes p
		WHERE p.machine = $1 AND p.last_day >= $2
			AND (p.started_at IS NULL OR p.started_at < $3::timestamptz + interval '1 day')
			AND `+match.condition(&args)+` LIMIT $4`, args...)
	if err != nil {
		return nil, fmt.Errorf("find processes: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("find processes: %w", err)
	}
	return ids, nil
}

// shorten cuts the longest lists to the same length, so that all together have at most limit entries. It returns how
// many they have.
func shorten(lists [][]Usage, limit int) (total int) {
	longest := 0
	for open, left := len(lists), limit; open > 0; { // the lists longer than their share of what others leave
		longest = left / open
		open, left = 0, limit
		for _, list := range lists {
			if len(list) <= longest {
				left -= len(list)
			} else {
				open++
			}
		}
		if open > 0 && left/open == longest {
			break
		}
	}
	for i := range lists {
		lists[i] = lists[i][:min(len(lists[i]), longest)]
		total += len(lists[i])
	}
	return total
}
