// Package broadcaster is the live view: it hears from PostgreSQL which machines
// have new snapshots, reads those that somebody watches, once each, and sends
// them over WebSockets.
package broadcaster

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/olahol/melody"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/problem"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Source reads what is new; store.Store is one.
type Source interface {
	// After returns the newest limit snapshots after an instant, oldest first,
	// with their processes, or snapshot.ErrNoMachine.
	After(ctx context.Context, machineID string, after snapshot.Time, limit int) ([]snapshot.State, error)
}

// Authorizer tells what the caller of a socket's request may watch. What it knows of the
// caller is in the request's context.
type Authorizer interface {
	// MayWatch reports whether the caller may, by now, do an action with a machine.
	MayWatch(ctx context.Context, action, machineID string) (bool, error)
	// CredentialValid reports whether the caller's credential still counts.
	CredentialValid(ctx context.Context) (bool, error)
	// CallerKey names the caller, for what is counted by caller.
	CallerKey(ctx context.Context) string
}

// Config bounds the sockets. Zero values mean the defaults.
type Config struct {
	// DatabaseURL is where to LISTEN.
	DatabaseURL string
	// MaxSockets bounds the sockets; 1,000 by default.
	MaxSockets int
	// MaxCallerSockets bounds the sockets of one caller; 50 by default.
	MaxCallerSockets int
	// OnAccessChange, if set, is told when who may do what may have changed, and whether such
	// changes are heard of from now on.
	OnAccessChange func(hearing bool)
	// MaxSubscriptions bounds the machines that one socket watches; 100 by default.
	MaxSubscriptions int
	// MaxQueuedBytes bounds what waits for one socket that does not keep up; 8 MiB by default.
	MaxQueuedBytes int
	// WriteTimeout is how long a client may take to accept one message before its
	// socket is closed; 10 s by default.
	WriteTimeout time.Duration
}

// maxRequest bounds what a client may send in one message, in bytes.
const maxRequest = 4096

// Broadcaster serves WS /api/v1/live.
type Broadcaster struct {
	cfg        Config
	source     Source
	authorizer Authorizer
	logger     *slog.Logger
	metrics    *metrics
	melody     *melody.Melody
	sockets    atomic.Int64
	serving    sync.WaitGroup // sockets and topics

	ctx  context.Context // ends with Close; topics live in it
	stop context.CancelFunc

	recheck chan struct{} // asks for a look at who still may watch

	mu      sync.Mutex
	topics  map[string]*topic
	clients map[*client]bool
	callers map[string]int // sockets of each
}

// New returns a Broadcaster; Run makes it hear.
func New(cfg Config, source Source, authorizer Authorizer, logger *slog.Logger, registry prometheus.Registerer) *Broadcaster {
	if cfg.MaxSockets == 0 {
		cfg.MaxSockets = 1000
	}
	if cfg.MaxCallerSockets == 0 {
		cfg.MaxCallerSockets = 50
	}
	if cfg.OnAccessChange == nil {
		cfg.OnAccessChange = func(bool) {}
	}
	if cfg.MaxSubscriptions == 0 {
		cfg.MaxSubscriptions = 100
	}
	if cfg.MaxQueuedBytes == 0 {
		cfg.MaxQueuedBytes = 8 << 20
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	b := &Broadcaster{cfg: cfg, source: source, authorizer: authorizer, logger: logger, recheck: make(chan struct{}, 1),
		topics: make(map[string]*topic), clients: make(map[*client]bool), callers: make(map[string]int)}
	b.metrics = newMetrics(registry, func() float64 { return float64(b.sockets.Load()) })
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.melody = melody.New()
	b.melody.Config.MaxMessageSize = maxRequest
	b.melody.Config.WriteWait = cfg.WriteTimeout
	b.melody.Config.MessageBufferSize = 8 // the queue is in client, this only bridges two goroutines
	b.melody.Upgrader.CheckOrigin = nil   // gorilla's own check: pages of other origins are refused
	b.melody.HandleConnect(func(s *melody.Session) { b.join(s) })
	b.melody.HandleMessage(func(s *melody.Session, data []byte) { b.receive(clientOf(s), data) })
	b.melody.HandleSentMessage(func(s *melody.Session, _ []byte) { clientOf(s).sent() })
	b.melody.HandleDisconnect(func(s *melody.Session) { b.leave(clientOf(s)) })
	return b
}

const clientKey = "client"

func clientOf(s *melody.Session) *client { return s.MustGet(clientKey).(*client) }

// Run listens for notices until ctx ends.
func (b *Broadcaster) Run(ctx context.Context) {
	watching := make(chan struct{})
	go func() { b.watchAccess(ctx); close(watching) }()
	l := listener{
		databaseURL: b.cfg.DatabaseURL,
		logger:      b.logger,
		metrics:     b.metrics,
		notice:      b.notice,
		resync:      b.resync,
		access:      b.accessChanged,
	}
	l.run(ctx)
	<-watching
}

// Close sends every socket a close frame and waits, for a moment, until they are gone.
func (b *Broadcaster) Close() {
	_ = b.melody.CloseWithMsg(melody.FormatCloseMessage(closeShutdown, "the server is shutting down"))
	b.stop()
	gone := make(chan struct{})
	go func() { b.serving.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(2 * time.Second):
	}
}

// Handle upgrades a request to a socket and serves it.
func (b *Broadcaster) Handle(c *gin.Context) {
	if !c.IsWebsocket() {
		problem.New(http.StatusUpgradeRequired, "websocket_needed", "This address speaks WebSocket.").
			Write(c.Writer, c.Request)
		return
	}
	if b.sockets.Add(1) > int64(b.cfg.MaxSockets) || b.melody.IsClosed() {
		b.sockets.Add(-1)
		c.Header("Retry-After", "5")
		problem.New(http.StatusServiceUnavailable, "too_many_sockets", "The server has as many live views as it can serve.").
			Write(c.Writer, c.Request)
		return
	}
	b.serving.Add(1)
	defer func() {
		b.sockets.Add(-1)
		b.serving.Done()
	}()
	caller := b.authorizer.CallerKey(c.Request.Context())
	if !b.enter(caller) {
		c.Header("Retry-After", "5")
		p := problem.New(http.StatusTooManyRequests, "too_many_sockets", "You have as many live views open as you may.")
		p.Limit = int64(b.cfg.MaxCallerSockets)
		p.Write(c.Writer, c.Request)
		return
	}
	defer b.exit(caller)
	if err := b.melody.HandleRequest(c.Writer, c.Request); err != nil {
		b.logger.Info("a socket was not opened", "request_id", problem.RequestID(c.Request.Context()), "err", err)
	}
}

func (b *Broadcaster) receive(c *client, data []byte) {
	if !c.asks.Allow() {
		c.send(outgoing{data: encodeError("", "too_many_requests", "This socket asks too often; wait a second.")})
		return
	}
	request, err := decodeRequest(data)
	if err != nil {
		c.send(outgoing{data: encodeError(request.MachineID, "bad_request", err.Error())})
		return
	}
	ctx, cancel := context.WithTimeout(c.session.Request.Context(), readTimeout)
	defer cancel()
	may, err := b.authorizer.MayWatch(ctx, request.Action, request.MachineID)
	switch {
	case err != nil:
		b.logger.Warn("could not tell who may watch", "machine_id", request.MachineID, "err", err)
		c.send(
			outgoing{
				data: encodeError(
					request.MachineID, "unavailable",
					"The server cannot tell now whether you may watch this machine; try again.",
				),
			},
		)
		return
	case !may: // as if there were none: its id is not theirs to know
		c.send(outgoing{data: encodeError(request.MachineID, "unknown_machine", "There is no such machine.")})
		return
	}
	if request.Action == "unsubscribe" {
		b.unsubscribe(c, request.MachineID)
		c.send(outgoing{data: encodeUnsubscribed(request.MachineID)})
		return
	}
	if !b.subscribe(c, request) {
		c.send(
			outgoing{
				data: encodeError(
					request.MachineID, "too_many_subscriptions", "This socket watches as many machines as it may.",
				),
			},
		)
	}
}

// join takes a new socket in.
func (b *Broadcaster) join(s *melody.Session) {
	c := newClient(s, b.cfg.MaxQueuedBytes, b.metrics)
	s.Set(clientKey, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clients[c] = true
}

// enter counts a caller's socket, unless they have as many as they may.
func (b *Broadcaster) enter(caller string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.callers[caller] >= b.cfg.MaxCallerSockets {
		return false
	}
	b.callers[caller]++
	return true
}

func (b *Broadcaster) exit(caller string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.callers[caller]--; b.callers[caller] <= 0 {
		delete(b.callers, caller)
	}
}

// subscribe makes the client join the machine's topic. Subscribing again is a
// way to ask for what was missed.
func (b *Broadcaster) subscribe(c *client, request LiveRequest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[request.MachineID]
	c.mu.Lock()
	if c.topics[request.MachineID] == nil && len(c.topics) >= b.cfg.MaxSubscriptions {
		c.mu.Unlock()
		return false
	}
	if t == nil {
		t = newTopic(b, request.MachineID)
		b.topics[request.MachineID] = t
		b.metrics.topics.Set(float64(len(b.topics)))
		b.serving.Go(func() { t.run(b.ctx) })
	}
	c.topics[request.MachineID] = t
	c.mu.Unlock()
	t.add(join{client: c, since: request.Since, changes: request.Changes})
	return true
}

func (b *Broadcaster) unsubscribe(c *client, machineID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	t := c.topics[machineID]
	delete(c.topics, machineID)
	c.mu.Unlock()
	if t != nil {
		b.part(t, c)
	}
}

// part takes a client out of a topic and ends the topic with its last watcher.
// The caller holds b.mu.
func (b *Broadcaster) part(t *topic, c *client) {
	if t.remove(c) {
		b.forget(t)
	}
}

// forget takes a topic off the list. The caller holds b.mu.
func (b *Broadcaster) forget(t *topic) {
	if b.topics[t.machineID] == t {
		delete(b.topics, t.machineID)
		b.metrics.topics.Set(float64(len(b.topics)))
	}
}

func (b *Broadcaster) leave(c *client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.clients, c)
	c.mu.Lock()
	topics := c.topics
	c.topics = make(map[string]*topic)
	c.closed, c.queue = true, nil
	c.mu.Unlock()
	for _, t := range topics {
		b.part(t, c)
	}
}

// drop ends the topic of a machine that does not exist, and tells its watchers.
func (b *Broadcaster) drop(t *topic) {
	b.mu.Lock()
	b.forget(t)
	watchers := t.all()
	b.mu.Unlock()
	for _, c := range watchers {
		c.mu.Lock()
		if c.topics[t.machineID] == t {
			delete(c.topics, t.machineID)
		}
		c.mu.Unlock()
		c.send(outgoing{data: encodeError(t.machineID, "unknown_machine", "There is no such machine.")})
	}
}

// notice wakes the topics of machines that have something new.
func (b *Broadcaster) notice(keys map[string]snapshot.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for machineID := range keys {
		if t := b.topics[machineID]; t != nil {
			t.touch()
		}
	}
}

// resync wakes every topic: notices may have been missed.
func (b *Broadcaster) resync() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.topics {
		t.touch()
	}
}
