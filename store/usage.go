package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Usage is what one process, or all of one name, used in a window.
type Usage struct {
	MachineID   string // empty where machines are added up
	Name        string
	CommandLine string // these four are empty where processes are added up
	User        string
	PID         int32
	StartedAt   snapshot.Time
	Processes   int64 // how many were added up
	CPUMS       *int64
	CPUMSMax    *int64 // the most in one interval
	MemoryAvg   *float64
	MemoryMax   *int64
	ThreadsMax  *int32
	ReadBytes   *int64
	WriteBytes  *int64
	// First and Last are the first and last sample in what was looked at.
	First, Last snapshot.Time
}

// UsageOrder is what usages are sorted by, the most first.
type UsageOrder string

// The orders.
const (
	ByCPU    UsageOrder = "cpu"
	ByMemory UsageOrder = "memory"
)

// UsageQuery asks for the processes that used most in a window.
type UsageQuery struct {
	// MachineID restricts to one machine; empty means all.
	MachineID string
	From, To  snapshot.Time
	Order     UsageOrder
	// ByName adds up processes of one name.
	ByName bool
	Limit  int
}

// Top returns what used most in a window, and which window that was.
func (s *Store) Top(ctx context.Context, q UsageQuery) ([]Usage, Cover, error) {
	defer s.metrics.observeRead("top", time.Now())
	var machine int32
	where, args := "true", []any{}
	if q.MachineID != "" {
		var err error
		if machine, err = s.machineKey(ctx, q.MachineID); err != nil {
			return nil, Cover{}, err
		}
		where, args = "machine = $1", []any{machine}
	}
	window, err := s.coverOf(ctx, machine, q.From, q.To, false)
	if err != nil {
		return nil, window, err
	}
	if len(window.segments) == 0 {
		return nil, window, nil
	}
	sums, args := window.sums(where, args)
	args = append(args, q.Limit)
	list, err := s.usages(ctx, usageSQL(sums, q, len(args)), args)
	return list, window, err
}

// usageSQL merges the identities of one process, or all processes of one name,
// and picks the first.
func usageSQL(sums string, q UsageQuery, limit int) string {
	group, columns := "u.machine, p.pid, p.started_at", `m.machine_id, (array_agg(p.name ORDER BY u.last_ts DESC))[1],
		(array_agg(p.command_line ORDER BY u.last_ts DESC))[1], (array_agg(p.user_name ORDER BY u.last_ts DESC))[1], p.pid, p.started_at, 1::bigint`
	if q.ByName {
		group, columns = "p.name", `'', p.name, '', '', 0, NULL::timestamptz, count(DISTINCT (u.machine, p.pid, p.started_at))`
	} else {
		group += ", m.machine_id"
	}
	order := "sum(u.cpu_ms)"
	if q.Order == ByMemory {
		order = "sum(u.memory_sum) / nullif(sum(u.memory_samples), 0)"
	}
	return fmt.Sprintf(`WITH used AS (%s)
		SELECT %s, sum(u.cpu_ms)::bigint, max(u.cpu_ms_max), sum(u.memory_sum) / nullif(sum(u.memory_samples), 0)::double precision,
			max(u.memory_max), max(u.threads_max), sum(u.read_bytes)::bigint, sum(u.write_bytes)::bigint, min(u.first_ts), max(u.last_ts)
		FROM used u JOIN processes p ON p.id = u.process JOIN machines m ON m.id = u.machine
		GROUP BY %s ORDER BY %s DESC NULLS LAST, max(u.memory_max) DESC NULLS LAST, min(u.process) LIMIT $%d`, sums, columns, group, order, limit)
}

func (s *Store) usages(ctx context.Context, sql string, args []any) ([]Usage, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read what processes used: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanUsage)
	if err != nil {
		return nil, fmt.Errorf("read what processes used: %w", err)
	}
	return list, nil
}

func scanUsage(row pgx.CollectableRow) (Usage, error) {
	var u Usage
	var started, first, last pgtype.Timestamptz
	err := row.Scan(&u.MachineID, &u.Name, &u.CommandLine, &u.User, &u.PID, &started, &u.Processes, &u.CPUMS, &u.CPUMSMax, &u.MemoryAvg,
		&u.MemoryMax, &u.ThreadsMax, &u.ReadBytes, &u.WriteBytes, &first, &last)
	u.StartedAt, u.First, u.Last = snapshot.TimeOf(started.Time), snapshot.TimeOf(first.Time), snapshot.TimeOf(last.Time)
	return u, err
}
