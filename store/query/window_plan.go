package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

// segment is a part [from, to) of a window and the relation to read it from.
type segment struct {
	relation string
	from, to time.Time
}

// WindowPlan is a list of relations that together cover a time window.
type WindowPlan struct {
	// From and To are the actual bounds. A long window is extended to whole hours.
	From, To snapshot.Time
	segments []segment
}

const (
	// exactSpan is the longest window that is read from samples only.
	exactSpan = 2 * time.Hour
	// dayLag is how long after its end a day is read from process_1d.
	dayLag = 26 * time.Hour
	raw    = "process_samples"
)

// planWindow covers [from, to) with the coarsest relations: whole days in the middle, whole hours around
// them, and samples from rolledUntil on, where there are no rollups yet. Unless exact is set, it extends
// a window of more than two hours to whole hours, at the ends that rollups cover.
func planWindow(from, to, rolledUntil, now time.Time, keep backend.Retention, exact bool) WindowPlan {
	from, to = from.UTC(), to.UTC()
	if to.Sub(from) <= exactSpan && !from.Before(now.Add(-keep.For("snapshots"))) {
		return newWindowPlan(segment{raw, from, to})
	}
	hour, day := time.Hour, 24*time.Hour
	begin, end := from.Truncate(hour), ceil(to, hour)
	if exact && !begin.Equal(from) && from.After(now.Add(-keep.For("snapshots"))) {
		begin = begin.Add(hour)
	} else {
		from = begin
	}
	if exact && to.Before(end) {
		end = end.Add(-hour)
	} else if to.Before(rolledUntil) {
		to = end
	}
	if end.After(rolledUntil) {
		end = rolledUntil
	}
	if !end.After(begin) {
		return newWindowPlan(segment{raw, from, to})
	}
	firstDay, lastDay := ceil(begin, day), end.Truncate(day)
	if latest := now.Add(-dayLag).UTC().Truncate(day).Add(day); lastDay.After(latest) {
		lastDay = latest
	}
	if limit := now.Add(-keep.For("process_1h")); begin.Before(limit) { // the hours have expired
		begin = begin.Truncate(day)
		firstDay, from = begin, begin
	}
	var list []segment
	if from.Before(begin) {
		list = append(list, segment{raw, from, begin})
	}
	if lastDay.After(firstDay) {
		list = append(
			list, segment{"process_1h", begin, firstDay}, segment{"process_1d", firstDay, lastDay},
			segment{"process_1h", lastDay, end},
		)
	} else {
		list = append(list, segment{"process_1h", begin, end})
	}
	if end.Before(to) {
		list = append(list, segment{raw, end, to})
	}
	return newWindowPlan(list...)
}

// newWindowPlan returns a plan of the segments that are not empty.
func newWindowPlan(list ...segment) WindowPlan {
	var plan WindowPlan
	for _, one := range list {
		if one.from.Before(one.to) {
			plan.segments = append(plan.segments, one)
		}
	}
	if n := len(plan.segments); n > 0 {
		plan.From, plan.To = snapshot.TimeOf(plan.segments[0].from), snapshot.TimeOf(plan.segments[n-1].to)
	}
	return plan
}

// ceil rounds t up to a multiple of width.
func ceil(t time.Time, width time.Duration) time.Time {
	if down := t.Truncate(width); down.Before(t) {
		return down.Add(width)
	}
	return t
}

// planOf plans a window of a machine. Machine 0 means all machines.
func (q *Queries) planOf(ctx context.Context, machine int32, from, to snapshot.Time, exact bool) (WindowPlan, error) {
	now := q.now()
	rolledUntil, err := q.backend.RolledUpUntil(ctx, machine, now)
	if err != nil {
		return WindowPlan{}, err
	}
	return planWindow(from.Std(), to.Std(), rolledUntil, now, q.retention(), exact), nil
}

// sums returns a SELECT that adds up all segments, with a row per machine and process. It aggregates
// samples by hour, so that averages are weighted as in rollups: in an hour with full snapshots, only
// those are averaged. The condition where may use the columns machine and process and the parameters
// in args.
func (p WindowPlan) sums(where string, args []any) (sql string, all []any) {
	all = args
	var parts []string
	for _, one := range p.segments {
		all = append(all, one.from, one.to)
		from, to := len(all)-1, len(all)
		if one.relation == raw {
			parts = append(
				parts,
				fmt.Sprintf(`SELECT machine, process, sum(cpu_ms)::bigint AS cpu_ms, max(cpu_ms) AS cpu_ms_max,
				coalesce(avg(memory_usage) FILTER (WHERE in_full), avg(memory_usage))::double precision AS memory_avg,
				coalesce(nullif(count(memory_usage) FILTER (WHERE in_full), 0), count(memory_usage)) AS memory_samples,
				max(memory_usage) AS memory_max, max(threads) AS threads_max, sum(read_bytes)::bigint AS read_bytes, sum(write_bytes)::bigint AS write_bytes,
				min(ts) AS first_ts, max(ts) AS last_ts
				FROM process_samples WHERE ts >= $%d AND ts < $%d AND state IS DISTINCT FROM 'exited' AND %s GROUP BY machine, process, hour`, from, to, where),
			)
			continue
		}
		parts = append(
			parts,
			fmt.Sprintf(
				`SELECT machine, process, cpu_ms, cpu_ms_max, memory_avg, memory_samples, memory_max, threads_max, read_bytes, write_bytes, first_ts, last_ts
			FROM %s WHERE bucket >= $%d AND bucket < $%d AND %s`,
				one.relation,
				from,
				to,
				where,
			),
		)
	}
	return `SELECT machine, process, sum(cpu_ms)::bigint AS cpu_ms, max(cpu_ms_max) AS cpu_ms_max,
		sum(memory_avg * memory_samples) AS memory_sum, sum(memory_samples)::bigint AS memory_samples,
		max(memory_max) AS memory_max, max(threads_max) AS threads_max, sum(read_bytes)::bigint AS read_bytes, sum(write_bytes)::bigint AS write_bytes,
		min(first_ts) AS first_ts, max(last_ts) AS last_ts
		FROM (` + strings.Join(parts, " UNION ALL ") + `) parts GROUP BY machine, process`, all
}
