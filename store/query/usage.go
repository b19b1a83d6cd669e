package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// Usage is what a process, or all processes of one name, used in a time window.
type Usage struct {
	MachineID string // empty for a total of machines
	// A total of processes has only a name.
	snapshot.ProcessKey
	snapshot.Identity

	// Exit is how the process ended, also if it was after the window. It is unknown for a total.
	Exit snapshot.ExitStatus

	Processes int64 // number of processes in the total
	CPUTime   *snapshot.CPUTime
	// CPUUsage is in percent of one core, over the window or the time that the samples cover if that is longer.
	CPUUsage   *float64
	CPUTimeMax *snapshot.CPUTime // maximum of an interval
	MemoryAvg  *float64
	MemoryMax  *int64
	ThreadsMax *int32
	ReadBytes  *int64
	WriteBytes *int64
	// First and Last are the times of the first and last sample in the window. They are those of the last sample before
	// the window if the process was gone at the first snapshot in it.
	First, Last snapshot.Time
	// UnknownCPU and UnknownIO are how many processes of a total have unknown CPU time or I/O, which it leaves out.
	UnknownCPU, UnknownIO int64
}

// UsageOrder is the value that usages are sorted by, the largest first.
type UsageOrder string

// The orders.
const (
	ByCPU    UsageOrder = "cpu"
	ByMemory UsageOrder = "memory"
)

// UsageQuery selects the processes with the highest usage in a window.
type UsageQuery struct {
	// MachineID selects one machine. If it is empty, all machines of View are selected.
	MachineID string
	View      View
	From, To  snapshot.Time
	Order     UsageOrder
	// Match selects processes. Empty, it stands for all. It is not combined with ByName.
	Match Match
	// ByName adds up the processes of each name.
	ByName bool
	Limit  int
}

// Top returns the processes with the highest usage, and the window that was read. Before WindowPlan.ShortLivedFrom, the
// list of processes lacks short-lived ones. Totals by name have all of them.
func (q *Queries) Top(ctx context.Context, by UsageQuery) ([]Usage, WindowPlan, error) {
	defer q.observe("top", time.Now())
	of, err := q.scopeOf(ctx, by.MachineID, by.View)
	if err != nil {
		return nil, WindowPlan{}, err
	}
	var machine int32
	if by.MachineID != "" {
		machine = of.machines[0]
	}
	window, err := q.planOf(ctx, machine, by.From, by.To, false)
	if err != nil {
		return nil, window, err
	}
	if len(window.segments) == 0 {
		return nil, window, nil
	}
	if by.ByName {
		list, err := q.nameUsages(ctx, window, of, by.Order, by.Limit)
		return list, window, err
	}
	if err := q.findExpired(ctx, &window, of); err != nil {
		return nil, window, err
	}
	list, err := q.usages(ctx, window, of, by)
	if err != nil {
		return nil, window, err
	}
	shortLived, err := q.topShortLived(ctx, window, of, by.Order, by.Limit)
	return mergeUsages(list, shortLived, by.Order, by.Limit), window, err
}

// mergeUsages merges two lists that are sorted by an order, and returns the first limit usages.
func mergeUsages(a, b []Usage, order UsageOrder, limit int) []Usage {
	if len(b) == 0 {
		return a
	}
	merged := slices.Concat(a, b)
	slices.SortStableFunc(merged, func(x, y Usage) int {
		if order == ByMemory {
			return cmp.Or(compareKnown(y.MemoryAvg, x.MemoryAvg), compareKnown(y.MemoryMax, x.MemoryMax))
		}
		return cmp.Or(compareKnown(y.CPUTime, x.CPUTime), compareKnown(y.MemoryMax, x.MemoryMax))
	})
	return merged[:min(len(merged), limit)]
}

// compareKnown compares two values. One that is unknown is less than all others.
func compareKnown[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

// usageSQL returns a statement that merges the identities of each process and selects the first processes, and its
// arguments. It looks up names only for the selected ones, from the identity that was sampled last.
func usageSQL(window WindowPlan, of scope, q UsageQuery) (string, []any) {
	order := "sum(u.cpu_us)"
	if q.Order == ByMemory {
		order = averageMemory
	}
	with, args := usedSQL(window, of, q)
	args = append(args, int64(window.To-window.From), q.Limit)
	// OFFSET 0 keeps the planner from reading the whole table processes, which has a row for each process ever seen.
	return fmt.Sprintf(`WITH %s,
		ranked AS (
			SELECT (max(ARRAY[(extract(epoch FROM u.last_ts) * 1000)::bigint, u.process]))[2] AS latest,
				to_bigint(sum(u.cpu_us)) AS cpu_us,
				round(sum(u.cpu_us) / (10 * greatest($%d::bigint, sum(u.memory_ms))), 2)::double precision AS cpu_usage,
				max(u.cpu_us_max) AS cpu_us_max, `+averageMemory+` AS memory_avg, max(u.memory_max) AS memory_max,
				max(u.threads_max) AS threads_max,
				to_bigint(sum(u.read_bytes)) AS read_bytes, to_bigint(sum(u.write_bytes)) AS write_bytes,
				coalesce(min(u.first_ts), max(u.last_ts)) AS first_ts, max(u.last_ts) AS last_ts, %s AS rank
			FROM used u CROSS JOIN LATERAL (SELECT name, pid, started_at FROM processes
				WHERE id = u.process OFFSET 0) p
			GROUP BY u.machine, p.pid, p.started_at
			ORDER BY rank DESC NULLS LAST, memory_max DESC NULLS LAST, latest LIMIT $%d)
		SELECT i.machine_id, i.pid, i.started_at, `+schema.IdentityColumns+`, i.exit_code, i.exit_signal, 1::bigint,
			r.cpu_us, r.cpu_usage, r.cpu_us_max, r.memory_avg, r.memory_max, r.threads_max,
			r.read_bytes, r.write_bytes, r.first_ts, r.last_ts, 0::bigint, 0::bigint
		FROM ranked r
			CROSS JOIN LATERAL (SELECT m.machine_id, p.pid, p.started_at, `+schema.IdentityColumns+`,
					x.exit_code, x.exit_signal
				FROM processes p JOIN machines m ON m.id = p.machine CROSS JOIN LATERAL `+exitStatusSQL+` x
				WHERE p.id = r.latest OFFSET 0) i
		ORDER BY r.rank DESC NULLS LAST, r.memory_max DESC NULLS LAST, r.latest`,
		with, len(args)-1, order, len(args)), args
}

// shortList is the largest limit for which processes are selected before all their values are added up.
const shortList = 200

// usedSQL returns the part of a statement that defines the table "used", with what each process used in a window, and
// its arguments. For a short list, it has only the processes that can be in it: those with several identities, and as
// many of the others as the limit, those with the highest usage. Then only two columns of every process are added up.
func usedSQL(window WindowPlan, of scope, q UsageQuery) (string, []any) {
	sampled, parts, args := window.parts(of)
	matching := func(sql string) string {
		if q.Match == (Match{}) {
			return sql
		}
		return `SELECT s.* FROM (` + sql + `) s JOIN processes p ON p.id = s.process WHERE ` + q.Match.condition(&args)
	}
	if q.Limit <= 0 || q.Limit > shortList {
		return `used AS MATERIALIZED (` + matching(sumsOf(append(parts, sampled...), "true")) + `)`, args
	}
	var with string
	if len(sampled) > 0 {
		with = `sampled AS MATERIALIZED (` + strings.Join(sampled, " UNION ALL ") + `),`
		parts = append(parts, "SELECT * FROM sampled")
	}
	usage := "sum(r.cpu_us)"
	if q.Order == ByMemory {
		usage = "coalesce(" + memorySum + " / nullif(" + memoryMS + ", 0), " + memoryPlain + ")"
	}
	every := matching(`SELECT r.machine, r.process, ` + usage + ` AS usage, max(r.memory_max) AS memory_max
			FROM (` + strings.Join(parts, " UNION ALL ") + `) r GROUP BY r.machine, r.process`)
	args = append(args, firstDay(window.From), q.Limit)
	// The planner expects few rows. IS TRUE makes it look up processes in a hash table instead of a nested loop.
	return with + fmt.Sprintf(`
		every AS MATERIALIZED (%s),
		several AS MATERIALIZED (
			SELECT s.id FROM (
				SELECT DISTINCT i.machine, i.pid, i.started_at FROM processes i
				WHERE i.is_later_identity AND i.last_day >= $%d AND i.machine IN (SELECT e.machine FROM every e)) k
			CROSS JOIN LATERAL (SELECT id FROM processes WHERE machine = k.machine AND pid = k.pid
				AND started_at IS NOT DISTINCT FROM k.started_at OFFSET 0) s),
		selected AS MATERIALIZED (
			SELECT e.process FROM every e WHERE (e.process IN (SELECT id FROM several)) IS TRUE
			UNION ALL (
				SELECT e.process FROM every e WHERE (e.process IN (SELECT id FROM several)) IS NOT TRUE
				ORDER BY e.usage DESC NULLS LAST, e.memory_max DESC NULLS LAST, e.process LIMIT $%d)),
		used AS (%s)`, every, len(args)-1, len(args),
		sumsOf(parts, "r.process = ANY(ARRAY(SELECT process FROM selected))")), args
}

// averageMemory is the average memory of rows of WindowPlan.sums.
const averageMemory = "coalesce(sum(u.memory_sum) / nullif(sum(u.memory_ms), 0)::double precision, avg(u.memory_plain))"

// usages returns at most by.Limit usages of a scope, sorted by by.Order, without short-lived processes.
func (q *Queries) usages(ctx context.Context, window WindowPlan, of scope, by UsageQuery) ([]Usage, error) {
	sql, args := usageSQL(window, of, by)
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the usage of processes: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanUsage)
	if err != nil {
		return nil, fmt.Errorf("read the usage of processes: %w", err)
	}
	return list, nil
}

func scanUsage(row pgx.CollectableRow) (Usage, error) {
	var u Usage
	var started, first, last pgtype.Timestamptz
	dest := append([]any{&u.MachineID, &u.PID, &started}, schema.IdentityDest(&u.Identity)...)
	err := row.Scan(append(dest, &u.Exit.ExitCode, &u.Exit.ExitSignal, &u.Processes, &u.CPUTime, &u.CPUUsage,
		&u.CPUTimeMax, &u.MemoryAvg, &u.MemoryMax, &u.ThreadsMax, &u.ReadBytes, &u.WriteBytes, &first, &last,
		&u.UnknownCPU, &u.UnknownIO)...)
	u.StartedAt = snapshot.TimeOf(started.Time)
	u.First, u.Last = snapshot.TimeOf(first.Time), snapshot.TimeOf(last.Time)
	return u, err
}
