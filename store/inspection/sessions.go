package inspection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is the channel of the notification that CheckSessions sends.
const channel = "snapwatch_doctor"

// notificationTimeout is how long that notification may take.
const notificationTimeout = 3 * time.Second

// Sessions is how a connection relates to the sessions of the database.
type Sessions struct {
	// Pooler reports that a connection pooler is in between.
	Pooler bool
	// Shared reports that connections share sessions, as behind a pooler in transaction mode.
	Shared bool
	// NoNotifications reports that LISTEN does not receive notifications. It is not checked if sessions are shared.
	NoNotifications bool
}

// CheckSessions finds out whether a connection is one session of the database. It opens a second connection.
func (d *Database) CheckSessions(ctx context.Context) (s Sessions, err error) {
	other, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return s, fmt.Errorf("open a second connection: %w", err)
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
	first, err := backendPID(ctx, d.conn)
	if err != nil {
		return s, err
	}
	s.Pooler = first != d.conn.PgConn().PID()
	// While the other connection is in a transaction, a pooler in transaction mode has to use another session for one
	// of the two.
	tx, err := other.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return s, fmt.Errorf("begin a transaction: %w", err)
	}
	second, err := backendPID(ctx, tx)
	if err != nil {
		return s, err
	}
	if s.Shared = second == first; !s.Shared {
		third, err := backendPID(ctx, d.conn)
		if err != nil {
			return s, err
		}
		s.Shared = third != first
	}
	if err := tx.Rollback(ctx); err != nil {
		return s, fmt.Errorf("end a transaction: %w", err)
	}
	if s.Shared {
		return s, nil
	}
	s.NoNotifications, err = missesNotification(ctx, d.conn, other)
	return s, err
}

// rowQuerier reads a row. Connections and transactions implement it.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func backendPID(ctx context.Context, q rowQuerier) (pid uint32, err error) {
	if err := q.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return 0, fmt.Errorf("read the id of the session: %w", err)
	}
	return pid, nil
}

// missesNotification reports whether a connection does not receive a notification that another one sends.
func missesNotification(ctx context.Context, listener, sender *pgx.Conn) (bool, error) {
	if _, err := listener.Exec(ctx, `LISTEN `+channel); err != nil {
		return false, fmt.Errorf("listen: %w", err)
	}
	if _, err := sender.Exec(ctx, `SELECT pg_notify($1, '')`, channel); err != nil {
		return false, fmt.Errorf("send a notification: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, notificationTimeout)
	defer cancel()
	_, err := listener.WaitForNotification(limited)
	switch {
	case err == nil:
		_, err = listener.Exec(ctx, `UNLISTEN `+channel)
		return false, err
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return true, nil
	}
	return false, fmt.Errorf("wait for a notification: %w", err)
}
