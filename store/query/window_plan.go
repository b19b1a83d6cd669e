package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

// segment is a part [from, to) of a window and the relation that serves it best.
type segment struct {
	relation string
	from, to time.Time
}

// WindowPlan says how a window is made up.
type WindowPlan struct {
	// From and To are what was looked at: a long window begins and ends with an hour.
	From, To snapshot.Time
	segments []segment
}

const (
	// exactSpan is the longest window that is read from the samples alone.
	exactSpan = 2 * time.Hour
	// dayLag is how long after its end a day is read from the days' rollup.
	dayLag = 26 * time.Hour
	raw    = "process_samples"
)

// cover splits [from, to) into the coarsest relations that make it up: whole days
// in the middle, whole hours around them, and samples where there are no rollups
// yet, from rolled on. Unless exact, a window of more than two hours is widened to
// whole hours at the ends where rollups serve it.
func planWindow(from, to, rolled, now time.Time, keep backend.Retention, exact bool) WindowPlan {
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
	} else if to.Before(rolled) {
		to = end
	}
	if end.After(rolled) {
		end = rolled
	}
	if !end.After(begin) {
		return newWindowPlan(segment{raw, from, to})
	}
	firstDay, lastDay := ceil(begin, day), end.Truncate(day)
	if latest := now.Add(-dayLag).UTC().Truncate(day).Add(day); lastDay.After(latest) {
		lastDay = latest
	}
	if limit := now.Add(-keep.For("process_1h")); begin.Before(limit) { // the hours are gone
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

func newWindowPlan(list ...segment) WindowPlan {
	var c WindowPlan
	for _, one := range list {
		if one.from.Before(one.to) {
			c.segments = append(c.segments, one)
		}
	}
	if len(c.segments) > 0 {
		c.From, c.To = snapshot.TimeOf(c.segments[0].from), snapshot.TimeOf(c.segments[len(c.segments)-1].to)
	}
	return c
}

func ceil(t time.Time, width time.Duration) time.Time {
	if down := t.Truncate(width); down.Before(t) {
		return down.Add(width)
	}
	return t
}

// planOf covers a window of a machine, or of all with machine 0.
func (q *Queries) planOf(ctx context.Context, machine int32, from, to snapshot.Time, exact bool) (WindowPlan, error) {
	now := q.now()
	rolled, err := q.backend.RolledUpUntil(ctx, machine, now)
	if err != nil {
		return WindowPlan{}, err
	}
	return planWindow(from.Std(), to.Std(), rolled, now, q.retention(), exact), nil
}

// sums is one SELECT of a cover's parts, with a row per machine, process and part.
// Samples are added up hour by hour, so that averages weigh as those of rollups do:
// in an hour that has full snapshots, these alone count.
// where restricts the rows further; it may use machine and process, and parameters
// up to the number given.
func (c WindowPlan) sums(where string, args []any) (sql string, all []any) {
	all = args
	var parts []string
	for _, one := range c.segments {
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
