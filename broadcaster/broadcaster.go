// Package broadcaster serves the live view over WebSockets. It receives PostgreSQL notifications about new
// snapshots, reads each snapshot of a watched machine once, and sends it to every subscriber of the machine.
package broadcaster

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/olahol/melody"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/accounts"
)

// Source reads snapshots and sends notifications. store.Store implements it.
type Source interface {
	// Notify sends a notification through the database, to all servers.
	Notify(ctx context.Context, channel, payload string) error
	// After returns the newest limit snapshots after an instant, oldest first, with their processes.
	// It returns snapshot.ErrNoMachine if the machine does not exist.
	After(ctx context.Context, machineID string, after snapshot.Time, limit int) ([]snapshot.State, error)
}

// Authorizer decides what the caller of a socket may watch. The context is that of the request that opened
// the socket, which identifies the caller.
type Authorizer interface {
	// MayWatch reports whether the caller is allowed, at this moment, to do an action with a machine.
	MayWatch(ctx context.Context, action, machineID string) (bool, error)
	// CredentialValid reports whether the caller's session or token is still valid.
	CredentialValid(ctx context.Context) (bool, error)
	// CredentialExpires returns when the caller's session or token expires, zero if it does not. The use of a session
	// may postpone it.
	CredentialExpires(ctx context.Context) time.Time
	// CallerKey returns the key under which the caller's sockets are counted.
	CallerKey(ctx context.Context) string
}

// Config sets limits and timeouts. Zero values mean the defaults.
type Config struct {
	// DatabaseURL is the database to LISTEN on.
	DatabaseURL string
	// MaxSockets is the maximum number of open sockets; 1,000 by default.
	MaxSockets int
	// MaxCallerSockets is the maximum number of open sockets of one caller; 50 by default.
	MaxCallerSockets int
	// MaxSubscriptions is the maximum number of machines that one socket watches; 100 by default.
	MaxSubscriptions int
	// MaxQueuedBytes limits the messages queued for one socket, in bytes; 8 MiB by default.
	MaxQueuedBytes int
	// WriteTimeout limits the time to write one message; after it the socket is closed. 10 s by default.
	WriteTimeout time.Duration
	// PingInterval is the time between two pings of a socket; 54 s by default.
	PingInterval time.Duration
	// PongTimeout is how long a socket stays open without a pong from the client; 60 s by default.
	PongTimeout time.Duration
	// Now is the clock of the limit on requests; time.Now by default.
	Now func() time.Time
	// OnListening, if set, is called when the listener begins or ceases to receive notifications. Notifications may
	// have been missed before it begins.
	OnListening func(listening bool)
	// OnAccessChange, if set, is called when permissions have changed.
	OnAccessChange func(change accounts.Change)
	// OnSettingsChange, if set, is called when settings in the database may have changed.
	OnSettingsChange func()
}

func (c *Config) setDefaults() {
	if c.MaxSockets == 0 {
		c.MaxSockets = 1000
	}
	if c.MaxCallerSockets == 0 {
		c.MaxCallerSockets = 50
	}
	if c.MaxSubscriptions == 0 {
		c.MaxSubscriptions = 100
	}
	if c.MaxQueuedBytes == 0 {
		c.MaxQueuedBytes = 8 << 20
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 10 * time.Second
	}
	if c.PingInterval == 0 {
		c.PingInterval = 54 * time.Second
	}
	if c.PongTimeout == 0 {
		c.PongTimeout = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnListening == nil {
		c.OnListening = func(bool) {}
	}
	if c.OnAccessChange == nil {
		c.OnAccessChange = func(accounts.Change) {}
	}
	if c.OnSettingsChange == nil {
		c.OnSettingsChange = func() {}
	}
}

const (
	// maxRequestBytes is the maximum size of a message from a client.
	maxRequestBytes = 4096
	// sessionBuffer is the length of melody's own queue. Messages wait in client.queue; melody's queue only
	// passes one message at a time to the goroutine that writes.
	sessionBuffer = 8
	// closeTimeout limits how long Close waits for sockets and topics to end.
	closeTimeout = 2 * time.Second
)

// Broadcaster serves WebSocket connections at /api/v1/live.
type Broadcaster struct {
	cfg        Config
	source     Source
	authorizer Authorizer
	logger     *slog.Logger
	metrics    *metrics
	melody     *melody.Melody
	sockets    atomic.Int64
	running    sync.WaitGroup // sockets and topics

	ctx    context.Context // of the topics; canceled by Close
	cancel context.CancelFunc

	recheck  wake.Signal // requests a check of all sockets' permissions
	listener *listener

	mu            sync.Mutex
	topics        map[string]*topic // by machine id
	clients       map[*client]bool
	callerSockets map[string]int // open sockets by caller key
}

// New returns a Broadcaster. Call Run to receive notifications.
func New(
	cfg Config, source Source, authorizer Authorizer, logger *slog.Logger, registry prometheus.Registerer,
) *Broadcaster {
	cfg.setDefaults()
	b := &Broadcaster{
		cfg:           cfg,
		source:        source,
		authorizer:    authorizer,
		logger:        logger,
		recheck:       wake.New(),
		topics:        make(map[string]*topic),
		clients:       make(map[*client]bool),
		callerSockets: make(map[string]int),
	}
	b.metrics = newMetrics(registry, func() float64 { return float64(b.sockets.Load()) })
	b.listener = newListener(b)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.melody = melody.New()
	b.melody.Config.MaxMessageSize = maxRequestBytes
	b.melody.Config.WriteWait = cfg.WriteTimeout
	b.melody.Config.PingPeriod = cfg.PingInterval
	b.melody.Config.PongWait = cfg.PongTimeout
	b.melody.Config.MessageBufferSize = sessionBuffer
	b.melody.Upgrader.CheckOrigin = nil // gorilla's default check refuses pages of other origins
	b.melody.HandleConnect(func(s *melody.Session) { b.connect(s) })
	b.melody.HandleMessage(func(s *melody.Session, data []byte) { b.receive(clientOf(s), data) })
	b.melody.HandleSentMessage(func(s *melody.Session, _ []byte) { clientOf(s).onSent() })
	b.melody.HandleDisconnect(func(s *melody.Session) { b.disconnect(clientOf(s)) })
	return b
}

// Run receives notifications until ctx is canceled.
func (b *Broadcaster) Run(ctx context.Context) {
	var checks sync.WaitGroup
	checks.Go(func() { b.checkAccess(ctx) })
	b.listener.run(ctx)
	checks.Wait()
}

// CheckListener returns an error if notifications are not received.
func (b *Broadcaster) CheckListener(ctx context.Context) error { return b.listener.status(ctx) }

// Close sends a close frame to every socket, stops the topics, and waits up to closeTimeout for them to end.
func (b *Broadcaster) Close() {
	_ = b.melody.CloseWithMsg(melody.FormatCloseMessage(closeShutdown, "the server is shutting down"))
	b.cancel()
	ended := make(chan struct{})
	go func() { b.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
	}
}
