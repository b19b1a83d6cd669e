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
	watchers map[*client]bool // true once admitted
	dirty    bool
	gone     bool // no one watches any more: the goroutine ends
	wake     chan struct{}

	// Only the goroutine uses these.
	last   snapshot.Time // the newest snapshot that was delivered
	latest []byte        // and its message
}

// join is a newcomer; since is the newest snapshot it has, 0 for none.
type join struct {
	client *client
	since  snapshot.Time
}

func newTopic(b *Broadcaster, machineID string) *topic {
	return &topic{b: b, machineID: machineID, watchers: make(map[*client]bool), wake: make(chan struct{}, 1)}
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
	t.mu.Lock()
	members := make([]*client, 0, len(t.watchers))
	for watcher, admitted := range t.watchers {
		if admitted {
			members = append(members, watcher)
		}
	}
	t.mu.Unlock()
	for i := range states {
		message, err := encodeSnapshot(&states[i])
		if err != nil {
			return err
		}
		t.last, t.latest = states[i].Timestamp, message
		for _, member := range members {
			member.send(outgoing{machineID: t.machineID, data: message})
		}
	}
	return nil
}

// admit answers a subscription: with the newest snapshot, or with those that the
// newcomer has missed since the one it knows.
func (t *topic) admit(ctx context.Context, newcomer join) error {
	var missed [][]byte
	switch {
	case t.last == 0 || newcomer.since >= t.last: // there is nothing it lacks
	case newcomer.since == 0:
		missed = [][]byte{t.latest}
	default:
		states, err := t.b.source.After(ctx, t.machineID, newcomer.since, catchUp)
		if err != nil {
			return err
		}
		for i := range states {
			if states[i].Timestamp > t.last {
				break // the members get it with the next read, and so does the newcomer
			}
			message, err := encodeSnapshot(&states[i])
			if err != nil {
				return err
			}
			missed = append(missed, message)
		}
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
	t.watchers[newcomer.client] = true
	return nil
}

// add puts a newcomer into line.
func (t *topic) add(newcomer join) {
	t.mu.Lock()
	t.joins = append(t.joins, newcomer)
	if _, watches := t.watchers[newcomer.client]; !watches {
		t.watchers[newcomer.client] = false
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
