package query

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// nameUsageSQL returns a statement that adds up all processes of each name, also the short-lived ones, and selects the
// first names, and its arguments. Of a process with several names, each has what it used under that name.
func nameUsageSQL(window WindowPlan, of scope, order UsageOrder, limit int) (string, []any) {
	sampled, parts, args := window.parts(of)
	shortLived := window.shortLivedSums(of, &args)
	args = append(args, int64(window.To-window.From), limit)
	rank := "sum(n.cpu_us)"
	if order == ByMemory {
		rank = averageOfNames
	}
	const processes = "count(DISTINCT (u.machine, p.pid, p.started_at))"
	// OFFSET 0 keeps the planner from reading the whole table processes, which has a row for each process ever seen.
	return fmt.Sprintf(`WITH used AS MATERIALIZED (%[1]s),
		short_lived_sums AS (%[2]s),
		names AS (
			SELECT p.name, `+processes+` AS processes, sum(u.cpu_us) AS cpu_us,
				sum(u.cpu_us::numeric / (10 * greatest($%[3]d::bigint, u.memory_ms))) AS cpu_usage,
				max(u.cpu_us_max) AS cpu_us_max, sum(u.memory_sum) AS memory_sum, sum(u.memory_ms) AS memory_ms,
				avg(u.memory_plain) AS memory_plain, max(u.memory_max) AS memory_max,
				max(u.threads_max) AS threads_max, sum(u.read_bytes) AS read_bytes, sum(u.write_bytes) AS write_bytes,
				min(u.first_ts) AS first_ts, max(u.last_ts) AS last_ts,
				`+processes+` FILTER (WHERE u.cpu_us IS NULL) AS unknown_cpu,
				`+processes+` FILTER (WHERE u.read_bytes IS NULL OR u.write_bytes IS NULL) AS unknown_io
			FROM used u CROSS JOIN LATERAL (SELECT name, pid, started_at FROM processes
				WHERE id = u.process OFFSET 0) p
			GROUP BY p.name
			UNION ALL
			SELECT s.name, sum(s.processes), sum(s.cpu_us),
				sum(s.cpu_us::numeric / (10 * greatest($%[3]d::bigint,
					CASE WHEN s.memory_ms IS NOT NULL THEN s.longest_ms END))),
				max(s.cpu_us_max), sum(s.memory_sum), sum(s.memory_ms), NULL, max(s.memory_max), NULL,
				sum(s.read_bytes), sum(s.write_bytes), min(s.first_ts), max(s.last_ts), sum(s.unknown_cpu),
				sum(s.unknown_io)
			FROM short_lived_sums s GROUP BY s.name)
		SELECT n.name, sum(n.processes)::bigint, to_bigint(sum(n.cpu_us)),
			round(sum(n.cpu_usage), 2)::double precision, max(n.cpu_us_max), `+averageOfNames+`,
			max(n.memory_max) AS memory_max, max(n.threads_max), to_bigint(sum(n.read_bytes)),
			to_bigint(sum(n.write_bytes)), coalesce(min(n.first_ts), max(n.last_ts)), max(n.last_ts),
			sum(n.unknown_cpu)::bigint, sum(n.unknown_io)::bigint
		FROM names n GROUP BY n.name
		ORDER BY %[5]s DESC NULLS LAST, memory_max DESC NULLS LAST, n.name LIMIT $%[4]d`,
		sumsOf(append(parts, sampled...), "true"), shortLived, len(args)-1, len(args), rank), args
}

// averageOfNames is the average memory of rows n of nameUsageSQL.
const averageOfNames = `coalesce(sum(n.memory_sum) / nullif(sum(n.memory_ms), 0)::double precision,
	avg(n.memory_plain))`

// nameUsages returns the first limit names of a scope, sorted by an order.
func (q *Queries) nameUsages(
	ctx context.Context, window WindowPlan, of scope, order UsageOrder, limit int,
) ([]Usage, error) {
	sql, args := nameUsageSQL(window, of, order, limit)
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the usage of names: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Usage, error) {
		var u Usage
		var first, last pgtype.Timestamptz
		err := row.Scan(&u.Name, &u.Processes, &u.CPUTime, &u.CPUUsage, &u.CPUTimeMax, &u.MemoryAvg, &u.MemoryMax,
			&u.ThreadsMax, &u.ReadBytes, &u.WriteBytes, &first, &last, &u.UnknownCPU, &u.UnknownIO)
		u.First, u.Last = snapshot.TimeOf(first.Time), snapshot.TimeOf(last.Time)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the usage of names: %w", err)
	}
	return list, nil
}
