package broadcaster

import (
	"maps"
	"slices"
	"sync"

	"github.com/olahol/melody"
	"golang.org/x/time/rate"
)

// The reasons for which we close a socket. Codes of 4000 and above are ours; a
// client may come back after each of these.
const (
	closeShutdown = 1001 // the server goes down
	closeSlow     = 4001 // the client does not read
	closeEnded    = 4401 // the session or token has ended: log in first
	closeGrant    = 4403 // a machine that it watched may not be read any more
)

// outgoing is a message that waits for a client. One with a machine may be
// replaced by a newer one of the same machine. Changes continue the message before
// them: full is what stands for them where that has been dropped.
type outgoing struct {
	machineID string
	data      []byte
	full      func() []byte
}

// client is one socket. Messages go to melody one at a time; while one is being
// written the others wait here, bounded: a client that falls behind gets the
// newest snapshot of each machine, and one that cannot take even those is closed.
type client struct {
	session *melody.Session
	metrics *metrics
	limit   int // of queued, in bytes
	// asks bounds what the client asks for: each request costs a look into the database.
	asks *rate.Limiter

	mu      sync.Mutex
	topics  map[string]*topic
	writing bool
	queue   []outgoing
	queued  int
	closed  bool
}

// The requests that a client may make: as many machines as one may watch are
// subscribed to at once, and moved away from.
const (
	asksPerSecond = 20
	asksAtOnce    = 400
)

func newClient(session *melody.Session, limit int, m *metrics) *client {
	return &client{
		session: session,
		limit:   limit,
		asks:    rate.NewLimiter(asksPerSecond, asksAtOnce),
		metrics: m,
		topics:  make(map[string]*topic),
	}
}

func (c *client) send(message outgoing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if !c.writing {
		c.writing = true
		_ = c.session.Write(message.data)
		return
	}
	c.queue = append(c.queue, message)
	c.queued += len(message.data)
	if c.queued > c.limit {
		c.keepNewest()
	}
	if c.queued > c.limit {
		c.metrics.slowClients.Inc()
		c.end(closeSlow, "the client reads too slowly")
	}
}

// end closes the socket for a reason. The caller holds c.mu.
func (c *client) end(code int, reason string) {
	c.closed, c.queue = true, nil
	_ = c.session.CloseWithMsg(melody.FormatCloseMessage(code, reason))
}

// watched lists the machines that the client has subscribed to.
func (c *client) watched() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.topics))
}

// sent lets the next message go; melody calls it when one is on the wire.
func (c *client) sent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || c.closed {
		c.writing = false
		return
	}
	next := c.queue[0]
	c.queue = c.queue[1:]
	c.queued -= len(next.data)
	_ = c.session.Write(next.data)
}

// keepNewest drops all snapshots that a newer one of the same machine follows.
func (c *client) keepNewest() {
	newest := make(map[string]int, len(c.queue))
	for i, message := range c.queue {
		newest[message.machineID] = i
	}
	kept := make([]outgoing, 0, len(newest))
	dropped := make(map[string]bool)
	c.queued = 0
	for i, message := range c.queue {
		if message.machineID == "" || newest[message.machineID] == i {
			if message.full != nil && dropped[message.machineID] {
				if all := message.full(); all != nil {
					message.data, message.full = all, nil
				}
			}
			kept = append(kept, message)
			c.queued += len(message.data)
		} else {
			dropped[message.machineID] = true
			c.metrics.skipped.Inc()
		}
	}
	c.queue = kept
}
