package broadcaster

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// pingAfter is how long the connection may be idle before it is pinged. A broken TCP connection is
	// otherwise not noticed, because the listener only receives.
	pingAfter    = 30 * time.Second
	pingTimeout  = 10 * time.Second
	minReconnect = 100 * time.Millisecond
	maxReconnect = 5 * time.Second
)

// accessChannel is the NOTIFY channel for changes of permissions.
const accessChannel = "snapwatch_access"

// listener owns the one connection that LISTENs. It reconnects until it is stopped.
type listener struct {
	databaseURL string
	logger      *slog.Logger
	metrics     *metrics
	// onSnapshots is called with the newest committed instant of each machine in a notification.
	onSnapshots func(newest map[string]snapshot.Time)
	// onConnect is called after each connect, because notifications may have been missed before.
	onConnect func()
	// onAccessChange is called when permissions may have changed, after each connect and after each
	// disconnect. The argument reports whether the listener is connected.
	onAccessChange func(listening bool)
}

// run listens until ctx is canceled.
func (l *listener) run(ctx context.Context) {
	delay := backoff.Backoff{Min: minReconnect, Max: maxReconnect}
	for ctx.Err() == nil {
		connected, err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		l.metrics.listenerConnected.Set(0)
		l.onAccessChange(false)
		if connected {
			delay.Reset()
		}
		wait := delay.Next()
		l.logger.Warn("lost the connection that receives notifications, reconnecting", "wait", wait, "err", err)
		l.metrics.reconnects.Inc()
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// listen connects and handles notifications until the connection fails. It reports whether it could connect.
func (l *listener) listen(ctx context.Context) (connected bool, err error) {
	config, err := pgx.ParseConfig(l.databaseURL)
	if err != nil {
		return false, fmt.Errorf("parse database URL: %w", err)
	}
	pgsession.Configure(&config.Config, "snapwatch listener")
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx)
	}()
	for _, channel := range []string{snapshot.NotificationChannel, accessChannel} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return false, fmt.Errorf("listen: %w", err)
		}
	}
	l.onAccessChange(true)
	l.onConnect()
	l.metrics.listenerConnected.Set(1)
	for {
		if err := l.receive(ctx, conn); err != nil {
			return true, err
		}
	}
}

// receive handles one notification. It pings the connection if none arrives for pingAfter.
func (l *listener) receive(ctx context.Context, conn *pgx.Conn) error {
	idleCtx, cancel := context.WithTimeout(ctx, pingAfter)
	defer cancel()
	notification, err := conn.WaitForNotification(idleCtx)
	if err != nil {
		if idleCtx.Err() == nil || ctx.Err() != nil || conn.IsClosed() {
			return err
		}
		pingCtx, cancel := context.WithTimeout(ctx, pingTimeout)
		defer cancel()
		return conn.Ping(pingCtx)
	}
	if notification.Channel == accessChannel {
		l.onAccessChange(true)
		return nil
	}
	committed, newest, err := snapshot.DecodeNotification(notification.Payload)
	if err != nil {
		l.logger.Warn("ignored a malformed notification", "err", err)
		return nil
	}
	l.metrics.lagSeconds.Observe(max(0, snapshot.TimeOf(time.Now()).Sub(committed).Seconds()))
	l.onSnapshots(newest)
	l.metrics.notifications.Inc()
	return nil
}
