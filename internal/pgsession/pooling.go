package pgsession

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// CheckPooling reports whether a connection pooler is between two connections and the database, and whether they share
// sessions, as behind one in transaction or statement mode. While one connection has a transaction open, the other runs
// statements. Without such a pooler both keep their process of the database all the time, and these differ.
func CheckPooling(ctx context.Context, idle, busy *pgx.Conn) (pooled, shared bool, err error) {
	before, err := BackendPID(ctx, idle)
	if err != nil {
		return false, false, err
	}
	pooled = before != idle.PgConn().PID()
	transaction, err := busy.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	// In statement mode, PgBouncer refuses transactions with this code.
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == pgerrcode.ProtocolViolation {
		return pooled, true, nil
	}
	if err != nil {
		return pooled, false, fmt.Errorf("begin a transaction: %w", err)
	}
	defer func() { _ = transaction.Rollback(context.WithoutCancel(ctx)) }()
	other, err := BackendPID(ctx, transaction)
	if err != nil {
		return pooled, false, err
	}
	after, err := BackendPID(ctx, idle)
	if err != nil {
		return pooled, false, err
	}
	return pooled, before == other || before != after, nil
}

// rowQuerier reads a row. Connections and transactions implement it.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// BackendPID returns the process of the database that runs the statements of a connection. With a pooler in between,
// it differs from the one that the connection has from its start.
func BackendPID(ctx context.Context, q rowQuerier) (pid uint32, err error) {
	if err := q.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return 0, fmt.Errorf("read the id of the session: %w", err)
	}
	return pid, nil
}
