package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/internal/pgsession"
)

// ErrTransactionPooling means that a pooler between the server and the database gives each transaction another session.
var ErrTransactionPooling = errors.New("a connection pooler in transaction or statement mode is in front of " +
	"the database, and snapwatch needs sessions: settings of a session, locks and notifications would be lost. " +
	"Use its session mode (pool_mode = session for this database in PgBouncer), or connect to the database itself")

// poolingTimeout limits CheckSessions. A pool with a single connection would wait for ever.
const poolingTimeout = 15 * time.Second

// CheckSessions reports whether a connection pooler is in front of the database. It returns ErrTransactionPooling if
// connections do not keep their sessions.
func CheckSessions(ctx context.Context, databaseURL string) (pooled bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, poolingTimeout, ErrTransactionPooling)
	defer cancel()
	idle, err := connect(ctx, databaseURL, "snapwatch")
	if err != nil {
		return false, err
	}
	defer func() { _ = idle.Close(context.WithoutCancel(ctx)) }()
	busy, err := connect(ctx, databaseURL, "snapwatch")
	if err != nil {
		return false, err
	}
	defer func() { _ = busy.Close(context.WithoutCancel(ctx)) }()
	pooled, shared, err := pgsession.CheckPooling(ctx, idle, busy)
	if err != nil {
		return false, fmt.Errorf("check for a connection pooler: %w", errors.Join(err, context.Cause(ctx)))
	}
	if shared {
		return true, ErrTransactionPooling
	}
	return pooled, nil
}
