package broadcaster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/backoff"
	"github.com/snapwatch/snapwatch/internal/pgsession"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

const (
	// echoInterval is how often the listener sends itself a notification. Without it, a broken TCP connection is not
	// noticed, because the listener only receives. Behind a pooler that changes the session after each transaction, a
	// connection can be good and receive nothing.
	echoInterval = 10 * time.Second
	// echoTimeout is how long that notification may take.
	echoTimeout    = 5 * time.Second
	connectTimeout = 10 * time.Second
	minReconnect   = 100 * time.Millisecond
	maxReconnect   = 2 * time.Second
)

const (
	// settingsChannel is the NOTIFY channel for changes of settings in the database.
	settingsChannel = "snapwatch_settings"
	// echoChannel is the NOTIFY channel with which each server checks that it receives notifications.
	echoChannel = "snapwatch_echo"
)

// errDeaf means that the listener is connected, but does not receive notifications.
var errDeaf = errors.New("the database does not deliver notifications: a pooler such as PgBouncer in transaction " +
	"mode drops them; set --listen-database-url to an address of the database itself")

// listener owns the one connection that LISTENs. It reconnects until it is stopped.
type listener struct {
	databaseURL string
	logger      *slog.Logger
	metrics     *metrics
	// notify sends a notification, over another connection.
	notify func(ctx context.Context, channel, payload string) error
	// id distinguishes the echoes of this server from those of others.
	id string
	// onSnapshots is called with the newest committed instant of each machine in a notification.
	onSnapshots func(newest map[string]snapshot.Time)
	// onListening is called after each connect and after each disconnect. Notifications may have been missed before
	// a connect.
	onListening func(listening bool)
	// onAccessChange is called when permissions have changed.
	onAccessChange func(change accounts.Change)
	// onSettingsChange is called when settings have changed.
	onSettingsChange func()

	tried chan struct{} // closed after the first attempt to connect
	once  sync.Once     // of tried

	mu      sync.Mutex
	failure error // why no notifications are received, nil if they are
}

func newListener(b *Broadcaster) *listener {
	return &listener{
		databaseURL:      b.cfg.DatabaseURL,
		logger:           b.logger,
		metrics:          b.metrics,
		notify:           b.source.Notify,
		id:               rand.Text(),
		onSnapshots:      b.wakeTopics,
		onListening:      b.listeningChanged,
		onAccessChange:   b.accessChanged,
		onSettingsChange: b.cfg.OnSettingsChange,
		tried:            make(chan struct{}),
		failure:          errors.New("not connected to the database yet"),
	}
}

// status returns why no notifications are received, nil if they are. It waits for the first attempt to connect.
func (l *listener) status(ctx context.Context) error {
	select {
	case <-l.tried:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

func (l *listener) setStatus(failure error) {
	defer l.once.Do(func() { close(l.tried) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = failure
	l.metrics.listenerConnected.Set(0)
	if failure == nil {
		l.metrics.listenerConnected.Set(1)
	}
}

// run listens until ctx is canceled.
func (l *listener) run(ctx context.Context) {
	delay := backoff.Backoff{Min: minReconnect, Max: maxReconnect}
	for ctx.Err() == nil {
		received, err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		l.setStatus(err)
		l.onListening(false)
		if received {
			delay.Reset()
		}
		wait := delay.Next()
		l.logger.Warn("notifications of the database are not received, reconnecting", "wait", wait, "err", err)
		l.metrics.reconnects.Inc()
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// listen connects and handles notifications until the connection fails. It reports whether it received any.
func (l *listener) listen(ctx context.Context) (received bool, err error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx)
	}()
	// The first echo shows that notifications arrive.
	if err := l.echo(ctx, conn); err != nil {
		return false, err
	}
	l.onListening(true)
	l.setStatus(nil)
	for {
		if err := l.receiveUntil(ctx, conn, time.Now().Add(echoInterval)); err != nil {
			return true, err
		}
		if err := l.echo(ctx, conn); err != nil {
			return true, err
		}
	}
}

// connect opens the connection and starts to LISTEN.
func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(l.databaseURL)
	if err != nil {
		return nil, errors.New("the URL of the database is not valid")
	}
	pgsession.Configure(&config.Config, "snapwatch listener", 0, 0)
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, pgsession.Cause(err)
	}
	for _, channel := range []string{
		snapshot.NotificationChannel, accounts.ChangeChannel, settingsChannel, echoChannel,
	} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			_ = conn.Close(ctx)
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	return conn, nil
}

// echo sends the listener a notification and handles notifications until it arrives.
func (l *listener) echo(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeoutCause(ctx, echoTimeout, errDeaf)
	defer cancel()
	payload := l.id + " " + rand.Text()
	if err := l.notify(ctx, echoChannel, payload); err != nil {
		return pgsession.Cause(err)
	}
	for {
		heard, err := l.receive(ctx, conn)
		if err != nil {
			if cause := context.Cause(ctx); errors.Is(cause, errDeaf) {
				return cause
			}
			return err
		}
		if heard == payload {
			return nil
		}
	}
}

// receiveUntil handles notifications until a time.
func (l *listener) receiveUntil(ctx context.Context, conn *pgx.Conn, until time.Time) error {
	waitCtx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		if _, err := l.receive(waitCtx, conn); err != nil {
			if waitCtx.Err() == nil || ctx.Err() != nil || conn.IsClosed() {
				return err
			}
			return nil
		}
	}
}

// receive handles one notification. It returns the payload of an echo, which may be that of another server.
func (l *listener) receive(ctx context.Context, conn *pgx.Conn) (echo string, err error) {
	notification, err := conn.WaitForNotification(ctx)
	if err != nil {
		return "", err
	}
	switch notification.Channel {
	case echoChannel:
		return notification.Payload, nil
	case accounts.ChangeChannel:
		l.onAccessChange(accounts.ParseChange(notification.Payload))
		return "", nil
	case settingsChannel:
		l.onSettingsChange()
		return "", nil
	}
	committed, newest, err := snapshot.DecodeNotification(notification.Payload)
	if err != nil {
		l.logger.Warn("ignored a malformed notification", "err", err)
		return "", nil
	}
	l.metrics.lagSeconds.Observe(max(0, snapshot.TimeOf(time.Now()).Sub(committed).Seconds()))
	l.onSnapshots(newest)
	l.metrics.notifications.Inc()
	return "", nil
}
