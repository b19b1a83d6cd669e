package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTransactionPooling means that a pooler between the server and the database gives each transaction another session.
var ErrTransactionPooling = errors.New("a connection pooler in transaction mode is in front of the database, and " +
	"snapwatch needs sessions: settings of a session, locks and notifications would be lost. Use its session mode " +
	"(pool_mode = session for this database in PgBouncer), or connect to the database itself")

// poolingTimeout limits CheckSessions. A pool with a single connection would wait for ever.
const poolingTimeout = 15 * time.Second

// CheckSessions returns ErrTransactionPooling if connections do not keep their sessions. While one connection has a
// transaction open, another is used. If there is no pooler in transaction mode, both keep their process of the database
// the whole time, and these differ.
func CheckSessions(ctx context.Context, databaseURL string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, poolingTimeout, ErrTransactionPooling)
	defer cancel()
	idle, err := connect(ctx, databaseURL, "snapwatch")
	if err != nil {
		return err
	}
	defer func() { _ = idle.Close(context.WithoutCancel(ctx)) }()
	busy, err := connect(ctx, databaseURL, "snapwatch")
	if err != nil {
		return err
	}
	defer func() { _ = busy.Close(context.WithoutCancel(ctx)) }()
	pidOf := func(query interface{ Scan(...any) error }) (pid int32, err error) {
		if err := query.Scan(&pid); err != nil {
			return 0, fmt.Errorf("check for a connection pooler: %w", errors.Join(err, context.Cause(ctx)))
		}
		return pid, nil
	}
	const backendPID = `SELECT pg_backend_pid()`
	before, err := pidOf(idle.QueryRow(ctx, backendPID))
	if err != nil {
		return err
	}
	transaction, err := busy.Begin(ctx)
	if err != nil {
		return fmt.Errorf("check for a connection pooler: %w", err)
	}
	defer func() { _ = transaction.Rollback(context.WithoutCancel(ctx)) }()
	other, err := pidOf(transaction.QueryRow(ctx, backendPID))
	if err != nil {
		return err
	}
	after, err := pidOf(idle.QueryRow(ctx, backendPID))
	if err != nil {
		return err
	}
	if before == other || before != after {
		return ErrTransactionPooling
	}
	return nil
}
