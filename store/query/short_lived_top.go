package query

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// topShortLivedSQL returns a statement for the short-lived processes with the highest usage in the part (from, to] of a
// window, and its arguments.
func topShortLivedSQL(
	window WindowPlan, from, to time.Time, of scope, order UsageOrder, limit int,
) (string, []any) {
	column := "cpu_us"
	if order == ByMemory {
		column = "memory_max"
	}
	args := []any{of.machines, from, to, limit, column, int64(window.To - window.From)}
	return shortLivedUsageSQL(`SELECT * FROM short_lived_top($1::integer[], $2, $3, $4, $5)`, len(args)) +
		` ORDER BY s.` + column + ` DESC NULLS LAST, s.memory_max DESC NULLS LAST, s.ts, s.pid`, args
}

// topShortLived returns at most limit short-lived processes of a scope, sorted by an order.
func (q *Queries) topShortLived(
	ctx context.Context, window WindowPlan, of scope, order UsageOrder, limit int,
) ([]Usage, error) {
	from, to, ok := window.shortLivedBounds()
	if !ok {
		return nil, nil
	}
	sql, args := topShortLivedSQL(window, from, to, of, order, limit)
	return q.readShortLived(ctx, sql, args...)
}

// readShortLived reads usages of short-lived processes.
func (q *Queries) readShortLived(ctx context.Context, sql string, args ...any) ([]Usage, error) {
	rows, err := q.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the usage of short-lived processes: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanUsage)
	if err != nil {
		return nil, fmt.Errorf("read the usage of short-lived processes: %w", err)
	}
	return list, nil
}
