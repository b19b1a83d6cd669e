package broadcaster

import (
	"maps"
	"slices"
	"sync"

	"github.com/olahol/melody"
	"golang.org/x/time/rate"
)

// Close codes of sockets that the server closes. Codes from 4000 are private (RFC 6455). A client may
// reconnect after each of them.
const (
	closeShutdown          = 1001 // the server stops
	closeSlowClient        = 4001 // the client does not read
	closeCredentialExpired = 4401 // the session or token is no longer valid: sign in again first
	closeAccessRevoked     = 4403 // the caller may no longer read a machine that the socket watched
)

// Limits on the requests of one client. The burst lets a client subscribe to as many machines as one socket
// may watch, and unsubscribe from as many.
const (
	requestsPerSecond = 20
	requestBurst      = 400
)

// message is a message to a client. A message with a machine id may be dropped when a newer message of the
// same machine is queued.
type message struct {
	machineID string
	data      []byte
	// full, if set, marks a message of changes, which apply to the message before. It returns the newest
	// state in full, which replaces data when that earlier message was dropped. It returns nil on errors.
	full func() []byte
}

// client is one socket with its queue of messages.
//
// melody gets one message at a time. While it is being written, others wait in queue. When the queue is
// full, only the newest snapshot of each machine stays in it. If those do not fit either, the socket is
// closed.
type client struct {
	session  *melody.Session
	metrics  *metrics
	maxBytes int           // of the queue
	requests *rate.Limiter // limits requests, because each one reads the database

	mu          sync.Mutex
	topics      map[string]*topic // subscriptions by machine id
	writing     bool              // melody is writing a message
	queue       []message
	queuedBytes int
	closed      bool
}

func newClient(session *melody.Session, maxBytes int, m *metrics) *client {
	return &client{
		session:  session,
		metrics:  m,
		maxBytes: maxBytes,
		requests: rate.NewLimiter(requestsPerSecond, requestBurst),
		topics:   make(map[string]*topic),
	}
}

// send writes a message, or queues it while another is being written.
func (c *client) send(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if !c.writing {
		c.writing = true
		_ = c.session.Write(m.data)
		return
	}
	c.queue = append(c.queue, m)
	c.queuedBytes += len(m.data)
	if c.queuedBytes > c.maxBytes {
		c.dropOutdated()
	}
	if c.queuedBytes > c.maxBytes {
		c.metrics.slowClients.Inc()
		c.closeLocked(closeSlowClient, "the client reads too slowly")
	}
}

// onSent writes the next queued message. melody calls it after each message that it has written.
func (c *client) onSent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || c.closed {
		c.writing = false
		return
	}
	next := c.queue[0]
	c.queue = c.queue[1:]
	c.queuedBytes -= len(next.data)
	_ = c.session.Write(next.data)
}

// dropOutdated drops every queued snapshot that is followed by a newer one of the same machine.
// The caller holds c.mu.
func (c *client) dropOutdated() {
	newest := make(map[string]int, len(c.queue)) // index in queue by machine id
	for i, m := range c.queue {
		newest[m.machineID] = i
	}
	kept := make([]message, 0, len(newest))
	dropped := make(map[string]bool) // by machine id
	c.queuedBytes = 0
	for i, m := range c.queue {
		if m.machineID != "" && newest[m.machineID] != i {
			dropped[m.machineID] = true
			c.metrics.skipped.Inc()
			continue
		}
		if m.full != nil && dropped[m.machineID] {
			if data := m.full(); data != nil {
				m.data, m.full = data, nil
			}
		}
		kept = append(kept, m)
		c.queuedBytes += len(m.data)
	}
	c.queue = kept
}

// close closes the socket with a code and a reason.
func (c *client) close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closeLocked(code, reason)
	}
}

func (c *client) closeLocked(code int, reason string) {
	c.closed, c.queue = true, nil
	_ = c.session.CloseWithMsg(melody.FormatCloseMessage(code, reason))
}

// watched returns the ids of the machines that the client is subscribed to.
func (c *client) watched() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.topics))
}
