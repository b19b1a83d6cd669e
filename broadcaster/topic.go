package broadcaster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// catchUp bounds how many missed snapshots are delivered one by one; a viewer
	// that has missed more gets the newest of them.
	catchUp = 60
	// readTimeout bounds one read, readRetry is the pause after a failed one.
	readTimeout = 10 * time.Second
	readRetry   = time.Second
)

// topic is one watched machine. Its goroutine reads each new snapshot once, for
// all who watch, and takes in newcomers between two reads, so that each of them
// sees every snapshot from then on once and in order.
type topic struct {
	machineID string
	b         *Broadcaster

	mu       sync.Mutex
	joins    []join
	watchers map[*client]watcher
	dirty    bool
	gone     bool // no one watches any more: the goroutine ends
	wake     chan struct{}

	// Only the goroutine uses these.
	last    snapshot.Time    // the newest snapshot that was delivered
	encoder snapshot.Encoder // knows the processes at encoded
	encoded snapshot.Time

	newest newest // written by the goroutine alone, read by clients too
}

// watcher is one who watches the machine.
type watcher struct {
	admitted bool
	changes  bool // is sent what changes, not every tree
}

// join is a newcomer; since is the newest snapshot it has, 0 for none.
type join struct {
	client  *client
	since   snapshot.Time
	changes bool
}

func newTopic(b *Broadcaster, machineID string) *topic {
	return &topic{b: b, machineID: machineID, watchers: make(map[*client]watcher), wake: make(chan struct{}, 1)}
}

// touch says that there may be something new.
func (t *topic) touch() {
	t.mu.Lock()
	t.dirty = true
	t.mu.Unlock()
	t.signal()
}

func (t *topic) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run serves the topic until no one watches it or the broadcaster closes.
func (t *topic) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		t.mu.Lock()
		joins, dirty := t.joins, t.dirty
		t.joins, t.dirty = nil, false
		over := t.gone
		t.mu.Unlock()
		if over {
			return
		}
		left, err := t.serve(ctx, joins, dirty)
		switch {
		case errors.Is(err, snapshot.ErrNoMachine):
			t.b.drop(t)
			return
		case err != nil && ctx.Err() == nil:
			t.b.logger.Warn("could not read for the live view", "machine_id", t.machineID, "err", err)
			t.b.metrics.readFailures.Inc()
			t.mu.Lock()
			t.joins = append(left, t.joins...)
			t.dirty = true
			t.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(readRetry):
			}
			t.signal()
		}
	}
}

// serve delivers what is new to the members, and then lets the newcomers in. On
// an error it returns those that are still to be let in.
func (t *topic) serve(ctx context.Context, joins []join, dirty bool) (left []join, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if dirty || t.last == 0 {
		if err := t.advance(ctx); err != nil {
			return joins, err
		}
	}
	for i, newcomer := range joins {
		if err := t.admit(ctx, newcomer); err != nil {
			return joins[i:], err
		}
	}
	return nil, nil
}

// advance reads what is newer than the last delivery and delivers it. The first
// time it only reads the newest snapshot: there is no one to miss the others.
func (t *topic) advance(ctx context.Context) error {
	limit := catchUp
	if t.last == 0 {
		limit = 1
	}
	states, err := t.b.source.After(ctx, t.machineID, t.last, limit)
	if err != nil {
		return err
	}
	trees, changes := t.members()
	for i := range states {
		if err := t.deliver(&states[i], trees, changes); err != nil {
			return err
		}
	}
	return nil
}

// members lists who has been let in, by what they are sent.
func (t *topic) members() (trees, changes []*client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for client, watcher := range t.watchers {
		switch {
		case !watcher.admitted:
		case watcher.changes:
			changes = append(changes, client)
		default:
			trees = append(trees, client)
		}
	}
	return trees, changes
}

// deliver sends the next state to the members.
func (t *topic) deliver(state *snapshot.State, trees, changes []*client) error {
	previous := t.last
	t.newest.set(state)
	t.last = state.Timestamp
	if len(trees) > 0 {
		data, err := t.newest.tree()
		if err != nil {
			return err
		}
		for _, member := range trees {
			member.send(outgoing{machineID: t.machineID, data: data})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	data, err := t.changes(state, previous)
	if err != nil {
		return err
	}
	for _, member := range changes {
		member.send(outgoing{machineID: t.machineID, data: data, full: t.newest.full})
	}
	return nil
}

// changes writes what leads from the state before to this one; all of it if that
// one is not known here.
func (t *topic) changes(state *snapshot.State, previous snapshot.Time) ([]byte, error) {
	known := t.encoded == previous && previous != 0
	t.encoded = state.Timestamp
	if !known { // since then only trees were sent
		return encodeChanges(state, 0, t.encoder.Full(state.Processes), nil)
	}
	samples, exited := t.encoder.Changes(state.Processes)
	return encodeChanges(state, previous, samples, exited)
}

// admit answers a subscription: with the newest snapshot, or with those that the
// newcomer has missed since the one it knows.
func (t *topic) admit(ctx context.Context, newcomer join) error {
	missed, err := t.missed(ctx, newcomer)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, stays := t.watchers[newcomer.client]; !stays {
		return nil
	}
	newcomer.client.send(outgoing{data: encodeSubscribed(t.machineID)})
	for _, message := range missed {
		newcomer.client.send(outgoing{machineID: t.machineID, data: message})
	}
	t.watchers[newcomer.client] = watcher{admitted: true, changes: newcomer.changes}
	return nil
}

// missed returns the messages that a newcomer begins with.
func (t *topic) missed(ctx context.Context, newcomer join) ([][]byte, error) {
	if newcomer.changes && t.last != 0 && t.encoded != t.last {
		t.encoder.Full(t.newest.state.Processes)
		t.encoded = t.last
	}
	switch {
	case t.last == 0 || newcomer.since >= t.last: // there is nothing it lacks
		return nil, nil
	case newcomer.changes: // it begins anew: nobody here knows what ran at since
		full := t.newest.full()
		if full == nil {
			return nil, errNotEncoded
		}
		return [][]byte{full}, nil
	case newcomer.since == 0:
		data, err := t.newest.tree()
		return [][]byte{data}, err
	}
	states, err := t.b.source.After(ctx, t.machineID, newcomer.since, catchUp)
	if err != nil {
		return nil, err
	}
	var missed [][]byte
	for i := range states {
		if states[i].Timestamp > t.last {
			break // the members get it with the next read, and so does the newcomer
		}
		message, err := encodeSnapshot(&states[i])
		if err != nil {
			return nil, err
		}
		missed = append(missed, message)
	}
	return missed, nil
}

// add puts a newcomer into line.
func (t *topic) add(newcomer join) {
	t.mu.Lock()
	t.joins = append(t.joins, newcomer)
	if _, watches := t.watchers[newcomer.client]; !watches {
		t.watchers[newcomer.client] = watcher{}
	}
	t.mu.Unlock()
	t.signal()
}

// remove takes a client out; empty tells that no one is left, and that the topic ends.
func (t *topic) remove(c *client) (empty bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watchers, c)
	t.joins = slices.DeleteFunc(t.joins, func(j join) bool { return j.client == c })
	t.gone = len(t.watchers) == 0
	t.signal()
	return t.gone
}

// all lists who watches, admitted or not.
func (t *topic) all() []*client {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.watchers))
}
