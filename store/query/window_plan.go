package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// segment is a part (from, to] of a window and the relation to read it from.
type segment struct {
	relation string
	from, to time.Time
}

// lastKey returns the largest bucket_key of a segment of a rollup, which is at most 1 ms after the start of its bucket.
// If TimescaleDB was given the segment's end instead, it would read the samples of the following bucket for the part of
// the rollup that is not materialized, to find that none of them belong to the segment.
func (s segment) lastKey() time.Time {
	width := Resolution(s.relation[strings.LastIndexByte(s.relation, '_')+1:]).Width()
	return s.to.Add(-width + time.Millisecond)
}

// WindowPlan is a list of relations that together cover a time window.
type WindowPlan struct {
	// From and To are the actual bounds. A long window is extended to whole hours, or days where there are no hours.
	From, To snapshot.Time
	segments []segment
	// shortLivedFrom is the time from which short-lived processes are kept one by one.
	shortLivedFrom time.Time
	// lacksShortLived is whether the window has short-lived processes before shortLivedFrom: see findExpired.
	lacksShortLived bool
}

const (
	// exactSpan is the longest window that is read from samples only.
	exactSpan = 2 * time.Hour
	// dayLag is how long after its end a day is read from process_1d.
	dayLag = 26 * time.Hour
	raw    = "process_samples"
)

// planWindow covers (from, to] with the coarsest relations: whole days in the middle, whole hours around them, and
// samples from rolledUntil on, where there are no rollups yet. Samples are complete from horizon on, and hours from
// hoursFrom on. Unless exact is set, it extends a window of more than two hours to whole hours, at the ends that
// rollups cover. Where there are no hours any more, it extends the window to whole days.
func planWindow(from, to, rolledUntil, horizon, hoursFrom, now time.Time, exact bool) WindowPlan {
	from, to = from.UTC(), to.UTC()
	if to.Sub(from) <= exactSpan && !from.Before(horizon) {
		return newWindowPlan(segment{raw, from, to}).until(now)
	}
	hour, day := time.Hour, 24*time.Hour
	begin, end := from.Truncate(hour), ceil(to, hour)
	if exact && !begin.Equal(from) && from.After(horizon) {
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
		return newWindowPlan(segment{raw, from, to}).until(now)
	}
	firstDay, lastDay := ceil(begin, day), end.Truncate(day)
	if latest := now.Add(-dayLag).UTC().Truncate(day).Add(day); lastDay.After(latest) {
		lastDay = latest
	}
	if begin.Before(hoursFrom) {
		begin = begin.Truncate(day)
		firstDay, from = begin, begin
		until := ceil(hoursFrom, day)
		if end.Before(until) {
			until = ceil(end, day)
		}
		if lastDay.Before(until) {
			lastDay = until
		}
		if end.Before(lastDay) {
			end = lastDay
		}
		if to.Before(end) {
			to = end
		}
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
	return newWindowPlan(list...).until(now)
}

// until ends the plan at a time, because a rate over the future is not true.
func (p WindowPlan) until(now time.Time) WindowPlan {
	if end := snapshot.TimeOf(now); p.From < end {
		p.To = min(p.To, end)
	}
	return p
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
	plan := planWindow(
		from.Std(), to.Std(), rolledUntil, q.Horizon().Std(), q.keptFrom("process_1h"), now, exact,
	)
	plan.shortLivedFrom = q.shortLivedFrom()
	return plan, nil
}

// scope selects the machines and processes of a window. A nil slice stands for all.
type scope struct {
	machines  []int32
	processes []int64
	// withoutStart leaves out the state at the start of the window: processes without a sample in it, and the levels
	// there.
	withoutStart bool
}

// scopeOf returns the scope of a machine or, with an empty id, of all machines in a view.
func (q *Queries) scopeOf(ctx context.Context, machineID string, view View) (scope, error) {
	switch {
	case machineID != "":
		machine, err := q.machineKey(ctx, machineID)
		return scope{machines: []int32{machine}}, err
	case !view.All:
		keys, err := q.machineKeys(ctx, view)
		return scope{machines: append([]int32{}, keys...)}, err // not nil, which would stand for all machines
	}
	return scope{}, nil
}

// condition returns the SQL condition of the scope on the columns machine and process of a table, and adds its
// parameters to args.
func (s scope) condition(table string, args *[]any) string {
	var parts []string
	add := func(format string, value any) {
		*args = append(*args, value)
		parts = append(parts, table+"."+fmt.Sprintf(format, len(*args)))
	}
	switch {
	case s.machines == nil: // the rows of a machine that was deleted are deleted later
		parts = append(parts, table+".machine IN (SELECT id FROM machines)")
	case len(s.machines) == 1: // a constant, so that only segments of this machine are decompressed
		add("machine = $%d", s.machines[0])
	default:
		add("machine = ANY($%d)", s.machines)
	}
	if s.processes != nil {
		add("process = ANY($%d)", s.processes)
	}
	return strings.Join(parts, " AND ")
}

// window returns an SQL query for what each process of the scope used in (from, to], and adds its parameters to args.
func (s scope) window(from, to time.Time, args *[]any) string {
	*args = append(*args, from, to, s.processes)
	first := len(*args) - 2
	return fmt.Sprintf(
		`SELECT k.machine, %s FROM %s k CROSS JOIN LATERAL process_window(k.machine, $%d, $%d, $%d::bigint[], %t) w`,
		usageColumns, s.machinesSince(first, args), first, first+1, first+2, !s.withoutStart,
	)
}

// start returns an SQL query for the state at the start of a window, whose first full hour is given, and adds its
// parameters to args. It has no rows if the window has a snapshot before that hour. What a process used there
// is unknown. Its time is that of the snapshot before the window, and not one of its first sample in the window.
func (s scope) start(from, hour, to time.Time, args *[]any) string {
	*args = append(*args, from, hour, to, s.processes)
	first := len(*args) - 3
	return fmt.Sprintf(`SELECT k.machine, w.process, NULL::bigint AS cpu_us, NULL::bigint AS cpu_us_max,
			0::bigint AS elapsed_ms, w.memory_usage::double precision AS memory_avg, NULL::bigint AS memory_ms,
			w.memory_usage AS memory_max, w.threads AS threads_max, NULL::bigint AS read_bytes,
			NULL::bigint AS write_bytes, NULL::timestamptz AS first_ts, w.ts AS last_ts
		FROM %s k CROSS JOIN LATERAL process_start(k.machine, $%[3]d, $%[2]d, $%[4]d) w
		WHERE $%[5]d::bigint[] IS NULL OR w.process = ANY($%[5]d)`,
		s.machinesSince(first, args), first, first+1, first+2, first+3)
}

// machinesSince returns an SQL table of the machines of the scope, and adds its parameters to args. If the scope has
// all machines, it leaves out those without snapshots after a time, which is a parameter.
func (s scope) machinesSince(after int, args *[]any) string {
	switch {
	case s.machines == nil:
		// The last snapshot is valid for two intervals and a second, and the longest polling interval is an hour.
		return fmt.Sprintf(
			"(SELECT id AS machine FROM machines WHERE last_snapshot > $%d::timestamptz - interval '3 hours')", after)
	case len(s.machines) == 1:
		*args = append(*args, s.machines[0])
		return fmt.Sprintf("(SELECT $%d::integer AS machine)", len(*args))
	default:
		*args = append(*args, s.machines)
		return fmt.Sprintf("(SELECT machine FROM unnest($%d::integer[]) u(machine))", len(*args))
	}
}

// usageColumns are the columns of process_window and of the rollups of processes.
const usageColumns = `process, cpu_us, cpu_us_max, elapsed_ms, memory_avg, memory_ms, memory_max, threads_max,
		read_bytes, write_bytes, first_ts, last_ts`

// parts returns SELECTs of the rows of all segments: those read from samples, and those of rollups. Their columns are
// machine and usageColumns.
func (p WindowPlan) parts(of scope) (sampled, rolledUp []string, args []any) {
	if hour, ok := p.firstHour(); ok && !of.withoutStart {
		sampled = append(sampled, of.start(p.From.Std(), hour, p.To.Std(), &args))
	}
	for _, one := range p.segments {
		if one.relation == raw {
			sampled = append(sampled, of.window(one.from, one.to, &args))
			continue
		}
		condition := of.condition(one.relation, &args)
		args = append(args, one.from, one.lastKey())
		rolledUp = append(rolledUp, fmt.Sprintf(
			`SELECT machine, %s FROM %s WHERE %s AND bucket_key >= $%d AND bucket_key <= $%d`,
			usageColumns, one.relation, condition, len(args)-1, len(args)))
	}
	return sampled, rolledUp, args
}

// bounds returns the bounds of the segments. To of a window that ends in the future is earlier.
func (p WindowPlan) bounds() (from, to time.Time) {
	return p.segments[0].from, p.segments[len(p.segments)-1].to
}

// firstHour returns the start of the first rollup.
func (p WindowPlan) firstHour() (time.Time, bool) {
	for _, one := range p.segments {
		if one.relation != raw {
			return one.from, true
		}
	}
	return time.Time{}, false
}

// sums returns a SELECT that adds up all segments, with a row per machine and process.
func (p WindowPlan) sums(of scope) (sql string, args []any) {
	sampled, rolledUp, args := p.parts(of)
	return sumsOf(append(rolledUp, sampled...), "true"), args
}

// sumsOf returns a SELECT that adds up the rows of parts that meet a condition, with a row per machine and process.
func sumsOf(parts []string, condition string) string {
	return `SELECT r.machine, r.process, ` + usageSums + `, min(r.first_ts) AS first_ts, max(r.last_ts) AS last_ts
		FROM (` + strings.Join(parts, " UNION ALL ") + `) r WHERE ` + condition + ` GROUP BY r.machine, r.process`
}

// Sums over rows of process_window or of a rollup of processes, named r. The average memory is memory_sum / memory_ms,
// or memory_plain if none of the rows covers any time.
const (
	memorySum   = "sum(r.memory_avg * " + memoryTime + ")"
	memoryMS    = "sum(" + memoryTime + ") FILTER (WHERE r.memory_avg IS NOT NULL)::bigint"
	memoryPlain = "avg(r.memory_avg) FILTER (WHERE coalesce(r.memory_ms, r.elapsed_ms) = 0)"
	usageSums   = `to_bigint(sum(r.cpu_us)) AS cpu_us, max(r.cpu_us_max) AS cpu_us_max,
		` + memorySum + ` AS memory_sum, ` + memoryMS + ` AS memory_ms, ` + memoryPlain + ` AS memory_plain,
		max(r.memory_max) AS memory_max, max(r.threads_max) AS threads_max,
		to_bigint(sum(r.read_bytes)) AS read_bytes, to_bigint(sum(r.write_bytes)) AS write_bytes`
)
