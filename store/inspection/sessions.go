package inspection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/pgsession"
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
	if s.Pooler, s.Shared, err = pgsession.CheckPooling(ctx, d.conn, other); err != nil {
		return s, err
	}
	if s.Shared {
		return s, nil
	}
	s.NoNotifications, err = missesNotification(ctx, d.conn, other)
	return s, err
}

// CountConnections opens connections until it has a number of them, one cannot be opened, or time is up, and closes
// them. It returns how many it had.
func (d *Database) CountConnections(ctx context.Context, number int, limit time.Duration) (opened int) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for opened < number {
		conn, err := pgx.ConnectConfig(limited, d.config)
		if err != nil {
			return opened
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		// A pooler accepts connections without one to the database.
		if _, err := pgsession.BackendPID(limited, conn); err != nil {
			return opened
		}
		opened++
	}
	return opened
}

// ReceivesFrom reports whether LISTEN on this connection receives what is sent on the connection of another Database.
func (d *Database) ReceivesFrom(ctx context.Context, sender *Database) (bool, error) {
	misses, err := missesNotification(ctx, d.conn, sender.conn)
	return !misses, err
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
