package broadcaster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// idlePing is how long the connection may be silent before it is tested:
	// a dead peer says nothing.
	idlePing   = 30 * time.Second
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// listener owns the one connection that LISTENs. It reconnects for ever; after
// each connect it calls resync, because notices may have passed unheard.
type listener struct {
	databaseURL string
	logger      *slog.Logger
	metrics     *metrics
	notice      func(keys map[string]snapshot.Time)
	resync      func()
	// access is told that who may do what may have changed, and whether such changes
	// are heard of from now on.
	access func(hearing bool)
}

// accessChannel is where the database tells that who may do what has changed.
const accessChannel = "snapwatch_access"

func (l *listener) run(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		heard, err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		l.metrics.listenerConnected.Set(0)
		l.access(false)
		if heard {
			backoff = minBackoff
		}
		wait := backoff/2 + rand.N(backoff/2)
		l.logger.Warn("lost the connection that listens, reconnecting", "wait", wait, "err", err)
		l.metrics.reconnects.Inc()
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen serves one connection until it breaks; heard tells that it once worked.
func (l *listener) listen(ctx context.Context) (heard bool, err error) {
	config, err := pgx.ParseConfig(l.databaseURL)
	if err != nil {
		return false, fmt.Errorf("parse database URL: %w", err)
	}
	config.RuntimeParams["application_name"] = "snapwatch listener"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	for _, channel := range []string{snapshot.NotificationChannel, accessChannel} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return false, fmt.Errorf("listen: %w", err)
		}
	}
	l.metrics.listenerConnected.Set(1)
	l.access(true)
	l.resync()
	for {
		if err := l.wait(ctx, conn); err != nil {
			return true, err
		}
	}
}

// wait handles one notification, or tests a silent connection.
func (l *listener) wait(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, idlePing)
	defer cancel()
	note, err := conn.WaitForNotification(waiting)
	if err != nil {
		if waiting.Err() != nil && ctx.Err() == nil && !conn.IsClosed() {
			testing, cancel := context.WithTimeout(ctx, idlePing/3)
			defer cancel()
			return conn.Ping(testing)
		}
		return err
	}
	if note.Channel == accessChannel {
		l.access(true)
		return nil
	}
	committed, keys, err := snapshot.DecodeNotification(note.Payload)
	if err != nil {
		l.logger.Warn("an unreadable notice", "err", err)
		return nil
	}
	l.metrics.notices.Inc()
	l.metrics.lagSeconds.Observe(max(0, snapshot.TimeOf(time.Now()).Sub(committed).Seconds()))
	l.notice(keys)
	return nil
}
