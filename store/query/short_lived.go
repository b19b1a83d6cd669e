package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Short-lived processes started and ended between two snapshots. They are not in processes and process_samples, but in
// the view short_lived, with a row each, and in sums by name and owner: short_lived_1m, short_lived_1h and
// short_lived_1d. The writer adds to the sums in the transaction of the rows, so minutes are always up to date.
//
// A row has the values of the only sample of a process: all that it used, its largest memory, and the time from its
// start to the snapshot. It is in the windows (from, to] that contain its snapshot.

// shortLivedRows is the relation of a segment that is read process by process.
const shortLivedRows = "short_lived"

// exactRates is the longest window in which short-lived processes are read one by one even if sums are needed: the
// interval of a process can be longer than the window, so that its rate is over its own time.
const exactRates = 2 * time.Minute

// shortLivedFrom returns the time from which short-lived processes are kept one by one. Before it, there are only sums.
func (q *Queries) shortLivedFrom() time.Time {
	return q.keptSince(shortLivedRows, q.backend.DroppedBefore(shortLivedRows))
}

// shortLivedSegments returns the relations with the sums of short-lived processes in the window. The parts of minutes
// at its ends are read process by process, or as whole minutes where these have expired.
func (p WindowPlan) shortLivedSegments() []segment {
	var list []segment
	add := func(relation string, from, to time.Time) {
		if from.Before(to) {
			list = append(list, segment{relation, from, to})
		}
	}
	for _, one := range p.segments {
		if one.relation != raw {
			add("short_lived"+strings.TrimPrefix(one.relation, "process"), one.from, one.to)
			continue
		}
		from, to := one.from, one.to
		first, last := ceil(from, time.Minute), to.Truncate(time.Minute)
		if from.Before(p.shortLivedFrom) {
			first = from.Truncate(time.Minute)
			from = first
		}
		if to.Before(p.shortLivedFrom) {
			last = ceil(to, time.Minute)
			to = last
		}
		if !first.Before(last) || to.Sub(from) <= exactRates && !from.Before(p.shortLivedFrom) {
			add(shortLivedRows, from, to)
			continue
		}
		add(shortLivedRows, from, first)
		add("short_lived_1m", first, last)
		add(shortLivedRows, last, to)
	}
	return list
}

// shortLivedSums returns a SELECT of the sums of short-lived processes by machine and name, with one or more rows for
// each, and adds its parameters to args.
func (p WindowPlan) shortLivedSums(of scope, args *[]any) string {
	of.processes = nil
	var parts []string
	for _, one := range p.shortLivedSegments() {
		condition := of.condition("s", args)
		if one.relation == shortLivedRows {
			parts = append(parts, `SELECT s.machine, c.name, s.owner, 1::bigint AS processes, s.cpu_us,
					s.cpu_us AS cpu_us_max, s.elapsed_ms::bigint AS elapsed_ms, s.elapsed_ms::bigint AS longest_ms,
					s.memory_max::double precision * s.elapsed_ms AS memory_sum,
					CASE WHEN s.memory_max IS NOT NULL THEN s.elapsed_ms END::bigint AS memory_ms, s.memory_max,
					s.read_bytes, s.write_bytes, (s.cpu_us IS NULL)::integer::bigint AS unknown_cpu,
					(s.read_bytes IS NULL OR s.write_bytes IS NULL)::integer::bigint AS unknown_io,
					s.ts AS first_ts, s.ts AS last_ts
				FROM short_lived s JOIN commands c ON c.id = s.command
				WHERE `+condition+` AND `+rowsIn("s", one.from, one.to, args))
			continue
		}
		*args = append(*args, one.from, one.lastKey())
		parts = append(parts, fmt.Sprintf(`SELECT s.machine, s.name, s.owner, s.processes, s.cpu_us, s.cpu_us_max,
				s.elapsed_ms, s.longest_ms, s.memory_sum, s.memory_ms, s.memory_max, s.read_bytes, s.write_bytes,
				s.unknown_cpu, s.unknown_io, s.first_ts, s.last_ts
			FROM %s s WHERE %s AND s.bucket_key >= $%d AND s.bucket_key <= $%d`,
			one.relation, condition, len(*args)-1, len(*args)))
	}
	return strings.Join(parts, " UNION ALL ")
}

// rowsIn returns the condition that a row of the view short_lived is in (from, to], and adds its parameters to args.
// The conditions on batches skip those that have no such row.
func rowsIn(table string, from, to time.Time, args *[]any) string {
	*args = append(*args, from, to)
	return fmt.Sprintf(`%[1]s.ts > $%[2]d AND %[1]s.ts <= $%[3]d AND %[1]s.batch_ts > $%[2]d
		AND %[1]s.batch_first_ts <= $%[3]d AND %[1]s.batch_ts <= $%[3]d::timestamptz + interval '1 hour'`,
		table, len(*args)-1, len(*args))
}

// commandLineSQL is the command line of a row s of the view short_lived with the texts c.
const commandLineSQL = `CASE WHEN c.has_vars THEN format(c.command_line, VARIADIC string_to_array(s.vars, ' '))
	ELSE c.command_line END`

// shortLivedUsageSQL returns a SELECT of the columns of scanUsage for rows s of the view short_lived. The parameter is
// the number of the one with the length of the window in milliseconds.
func shortLivedUsageSQL(rows string, window int) string {
	return fmt.Sprintf(`SELECT m.machine_id, s.pid, s.started_at, coalesce(s.ppid, 0), c.name, %s, o.user_name, o.cgroup,
			s.exit_code, s.exit_signal, 1::bigint, s.cpu_us,
			round(s.cpu_us / (10.0 * greatest($%d::bigint, CASE WHEN s.memory_max IS NOT NULL THEN s.elapsed_ms END)), 2)
				::double precision,
			s.cpu_us, s.memory_max::double precision, s.memory_max, NULL::integer, s.read_bytes, s.write_bytes,
			s.ts, s.ts, 0::bigint, 0::bigint
		FROM (%s) s JOIN machines m ON m.id = s.machine
			JOIN commands c ON c.id = s.command JOIN owners o ON o.id = s.owner`, commandLineSQL, window, rows)
}

// ShortLivedFrom is the time from which lists of the window have short-lived processes, 0 if they lack none.
func (p WindowPlan) ShortLivedFrom() snapshot.Time {
	if p.lacksShortLived {
		return snapshot.TimeOf(p.shortLivedFrom)
	}
	return 0
}

// shortLivedBounds returns the part (from, to] of the window in which short-lived processes are kept one by one. The
// sums of earlier ones are no bounds for those that are left. ok is false if the part is empty.
func (p WindowPlan) shortLivedBounds() (from, to time.Time, ok bool) {
	from, to = p.bounds()
	if from.Before(p.shortLivedFrom) {
		from = p.shortLivedFrom
	}
	return from, to, from.Before(to)
}

// findExpired finds out whether short-lived processes of the window have expired, for ShortLivedFrom. Their sums are
// kept longer.
func (q *Queries) findExpired(ctx context.Context, window *WindowPlan, of scope) error {
	of.processes = nil
	var args []any
	var parts []string
	for _, one := range window.shortLivedSegments() {
		if one.relation == shortLivedRows || !one.from.Before(window.shortLivedFrom) {
			continue
		}
		condition := of.condition("s", &args)
		args = append(args, one.from, one.lastKey(), window.shortLivedFrom)
		parts = append(parts, fmt.Sprintf(`SELECT FROM %s s
			WHERE %s AND s.bucket_key >= $%[3]d AND s.bucket_key <= $%[4]d AND s.bucket_key < $%[5]d AND s.first_ts <= $%[5]d`,
			one.relation, condition, len(args)-2, len(args)-1, len(args)))
	}
	if len(parts) == 0 {
		return nil
	}
	if err := q.pool.QueryRow(ctx, `SELECT EXISTS (`+strings.Join(parts, " UNION ALL ")+`)`, args...).
		Scan(&window.lacksShortLived); err != nil {
		return fmt.Errorf("look for expired short-lived processes: %w", err)
	}
	return nil
}

// ShortLivedTotal is the sum of short-lived processes.
type ShortLivedTotal struct {
	Processes             int64
	CPUTime               *snapshot.CPUTime
	ReadBytes, WriteBytes *int64
	// UnknownCPU and UnknownIO are how many of them have unknown CPU time or I/O, which the sums leave out.
	UnknownCPU, UnknownIO int64
}

// totalShortLived adds up the short-lived processes of a window.
func (q *Queries) totalShortLived(ctx context.Context, window WindowPlan, of scope) (total ShortLivedTotal, err error) {
	var args []any
	sums := window.shortLivedSums(of, &args)
	if err := q.pool.QueryRow(ctx, `SELECT coalesce(sum(s.processes), 0)::bigint, to_bigint(sum(s.cpu_us)),
			to_bigint(sum(s.read_bytes)), to_bigint(sum(s.write_bytes)), coalesce(sum(s.unknown_cpu), 0)::bigint,
			coalesce(sum(s.unknown_io), 0)::bigint
		FROM (`+sums+`) s`, args...).Scan(&total.Processes, &total.CPUTime, &total.ReadBytes, &total.WriteBytes,
		&total.UnknownCPU, &total.UnknownIO); err != nil {
		return total, fmt.Errorf("add up short-lived processes: %w", err)
	}
	return total, nil
}
