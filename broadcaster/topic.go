package broadcaster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// maxBacklog is the maximum number of missed snapshots that are sent. A client that has missed more
	// receives the newest ones.
	maxBacklog = 60
	// readTimeout limits one read from the database.
	readTimeout = 10 * time.Second
	// readRetry is the pause after a failed read.
	readRetry = time.Second
)

// topic delivers the snapshots of one machine to its subscribers. One goroutine, run, reads each new
// snapshot once for all of them. It activates new subscriptions between two reads, so that every subscriber
// receives each later snapshot once and in order.
type topic struct {
	machineID string
	b         *Broadcaster
	wake      wake.Signal

	mu      sync.Mutex
	pending []subscription // not yet activated
	members map[*client]member
	stale   bool // there may be new snapshots to read
	ended   bool // the last member has left: run returns

	// The fields below belong to run's goroutine.
	last      snapshot.Time // the newest snapshot delivered, 0 for none
	encoder   snapshot.Encoder
	encodedAt snapshot.Time // the instant of the encoder's process list, 0 for none

	newest newestState // set by run's goroutine, read by clients too
}

// member is the state of one subscriber.
type member struct {
	active  bool // receives snapshots
	changes bool // receives changes instead of process trees
}

// subscription is a request to join a topic.
type subscription struct {
	client  *client
	since   snapshot.Time // the newest snapshot that the client has, 0 for none
	changes bool
}

func newTopic(b *Broadcaster, machineID string) *topic {
	return &topic{b: b, machineID: machineID, members: make(map[*client]member), wake: wake.New()}
}

// add queues a subscription for activation.
func (t *topic) add(s subscription) {
	t.mu.Lock()
	t.pending = append(t.pending, s)
	if _, ok := t.members[s.client]; !ok {
		t.members[s.client] = member{}
	}
	t.mu.Unlock()
	t.wake.Notify()
}

// remove removes a client. If it was the last one, the topic ends and remove returns true.
func (t *topic) remove(c *client) (ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.members, c)
	t.pending = slices.DeleteFunc(t.pending, func(s subscription) bool { return s.client == c })
	t.ended = len(t.members) == 0
	t.wake.Notify()
	return t.ended
}

// clients returns all subscribers, active or not.
func (t *topic) clients() []*client {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.members))
}

// markStale makes the topic read new snapshots.
func (t *topic) markStale() {
	t.mu.Lock()
	t.stale = true
	t.mu.Unlock()
	t.wake.Notify()
}

// run serves the topic until its last member leaves or ctx is canceled.
func (t *topic) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		t.mu.Lock()
		pending, stale, ended := t.pending, t.stale, t.ended
		t.pending, t.stale = nil, false
		t.mu.Unlock()
		if ended {
			return
		}
		remaining, err := t.update(ctx, pending, stale)
		if errors.Is(err, snapshot.ErrNoMachine) {
			t.b.endUnknownTopic(t)
			return
		}
		if err != nil && ctx.Err() == nil {
			t.retry(ctx, remaining, err)
		}
	}
}

// retry puts subscriptions back after a failed update, waits for readRetry and wakes run.
func (t *topic) retry(ctx context.Context, remaining []subscription, err error) {
	t.b.logger.Warn("could not read snapshots for the live view, retrying", "machine_id", t.machineID, "err", err)
	t.b.metrics.readFailures.Inc()
	t.mu.Lock()
	t.pending = append(remaining, t.pending...)
	t.stale = true
	t.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(readRetry):
	}
	t.wake.Notify()
}

// update delivers new snapshots to the active members and then activates pending subscriptions. On an error
// it returns the subscriptions that are not activated.
func (t *topic) update(
	ctx context.Context, pending []subscription, stale bool,
) (remaining []subscription, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if stale || t.last == 0 {
		if err := t.readNew(ctx); err != nil {
			return pending, err
		}
	}
	for i, s := range pending {
		if err := t.activate(ctx, s); err != nil {
			return pending[i:], err
		}
	}
	return nil, nil
}

// readNew reads the snapshots after the last delivered one and delivers them. The first read only fetches
// the newest snapshot, because no member is active yet.
func (t *topic) readNew(ctx context.Context) error {
	limit := maxBacklog
	if t.last == 0 {
		limit = 1
	}
	states, err := t.b.source.After(ctx, t.machineID, t.last, limit)
	if err != nil {
		return err
	}
	trees, changes := t.activeClients()
	for i := range states {
		if err := t.deliver(&states[i], trees, changes); err != nil {
			return err
		}
	}
	return nil
}

// activeClients returns the clients that receive process trees and those that receive changes.
func (t *topic) activeClients() (trees, changes []*client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, m := range t.members {
		switch {
		case !m.active:
		case m.changes:
			changes = append(changes, c)
		default:
			trees = append(trees, c)
		}
	}
	return trees, changes
}

// deliver sends the next state to the active clients.
func (t *topic) deliver(state *snapshot.State, trees, changes []*client) error {
	previous := t.last
	t.newest.set(state)
	t.last = state.Timestamp
	if len(trees) > 0 {
		data, err := t.newest.tree()
		if err != nil {
			return err
		}
		for _, c := range trees {
			c.send(message{machineID: t.machineID, data: data})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	data, err := t.encodeNext(state, previous)
	if err != nil {
		return err
	}
	for _, c := range changes {
		c.send(message{machineID: t.machineID, data: data, full: t.newest.full})
	}
	return nil
}

// encodeNext encodes the changes from the previous state to this one. If the encoder does not have the
// previous state, because since then only trees were sent, it encodes the state in full.
func (t *topic) encodeNext(state *snapshot.State, previous snapshot.Time) ([]byte, error) {
	hasPrevious := previous != 0 && t.encodedAt == previous
	t.encodedAt = state.Timestamp
	if !hasPrevious {
		return encodeChanges(state, 0, t.encoder.Full(state.Processes), nil)
	}
	samples, exited := t.encoder.Changes(state.Processes)
	return encodeChanges(state, previous, samples, exited)
}

// activate confirms a subscription and sends its first messages: the newest snapshot, or those after
// since. From then on the client receives each new snapshot.
func (t *topic) activate(ctx context.Context, s subscription) error {
	first, err := t.firstMessages(ctx, s)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.members[s.client]; !ok { // the client has left
		return nil
	}
	s.client.send(message{data: encodeSubscribed(t.machineID)})
	for _, data := range first {
		s.client.send(message{machineID: t.machineID, data: data})
	}
	t.members[s.client] = member{active: true, changes: s.changes}
	return nil
}

// firstMessages returns the snapshots that a new subscriber receives first.
func (t *topic) firstMessages(ctx context.Context, s subscription) ([][]byte, error) {
	if s.changes && t.last != 0 && t.encodedAt != t.last { // prepare the encoder for the next changes
		t.encoder.Full(t.newest.state.Processes)
		t.encodedAt = t.last
	}
	switch {
	case t.last == 0 || s.since >= t.last: // the client has the newest snapshot
		return nil, nil
	case s.changes: // in full, because the state at since is not known here
		full := t.newest.full()
		if full == nil {
			return nil, errEncode
		}
		return [][]byte{full}, nil
	case s.since == 0:
		data, err := t.newest.tree()
		return [][]byte{data}, err
	}
	return t.missedTrees(ctx, s.since)
}

// missedTrees returns the snapshots after since, up to the last delivered one.
func (t *topic) missedTrees(ctx context.Context, since snapshot.Time) ([][]byte, error) {
	states, err := t.b.source.After(ctx, t.machineID, since, maxBacklog)
	if err != nil {
		return nil, err
	}
	var missed [][]byte
	for i := range states {
		if states[i].Timestamp > t.last {
			break // it is delivered to all members after the next read
		}
		data, err := encodeSnapshot(&states[i])
		if err != nil {
			return nil, err
		}
		missed = append(missed, data)
	}
	return missed, nil
}
