// Package guard calls functions that may block in the kernel, such as statfs on a network file system whose server does
// not answer. It waits for them only for a short time.
package guard

import (
	"context"
	"time"
)

// Group calls one function for several keys. A call that does not return in time continues in the background. Until it
// returns, the function is not called for this key again, and the key keeps its last value. A Group is for one
// goroutine at a time.
type Group[K comparable, V any] struct {
	call  func(K) V
	wait  time.Duration
	limit int
	keys  map[K]*state[V]
	round uint64
}

// Result is the last value of a key.
type Result[V any] struct {
	Value V
	// Known is false if no call has returned yet.
	Known bool
	// Stale is true if the call did not return in time, so that Value is that of an earlier call.
	Stale bool
}

type state[V any] struct {
	last    Result[V]
	running chan outcome[V] // nil if no call is running
	// slow is true if the last call did not return in time. The next one is not waited for.
	slow  bool
	round uint64
}

type outcome[V any] struct {
	value V
	took  time.Duration
}

// New returns a Group. It waits for calls up to wait, and at most limit calls run in the background. While there are so
// many, it makes no further calls.
func New[K comparable, V any](wait time.Duration, limit int, call func(K) V) *Group[K, V] {
	return &Group[K, V]{call: call, wait: wait, limit: limit, keys: make(map[K]*state[V])}
}

// Read calls the function for each key, and returns the results in the order of the keys. It waits at most once, for
// all calls together, and not for keys whose last call was late. It removes the values of other keys.
func (g *Group[K, V]) Read(ctx context.Context, keys []K) []Result[V] {
	g.round++
	running := 0
	for _, s := range g.keys {
		if s.poll(g.wait); s.running != nil {
			running++
		}
	}
	d := &deadline{ctx: ctx, wait: g.wait}
	defer d.stop()
	batch := make([]*state[V], 0, min(len(keys), g.limit))
	await := func() {
		for _, s := range batch {
			if g.await(s, d) {
				running--
			}
		}
		batch = batch[:0]
	}
	for _, key := range keys {
		s := g.keys[key]
		if s == nil {
			s = &state[V]{}
			g.keys[key] = s
		}
		if s.round == g.round { // it is twice in the list
			continue
		}
		s.round = g.round
		if running == g.limit {
			await()
		}
		if s.running != nil || running == g.limit {
			s.last.Stale = true
			continue
		}
		running++
		g.start(key, s)
		if !s.slow {
			batch = append(batch, s)
		} // else its value is that of the previous call
	}
	await()
	results := make([]Result[V], len(keys))
	for i, key := range keys {
		results[i] = g.keys[key].last
	}
	for key, s := range g.keys {
		if s.round != g.round && s.running == nil {
			delete(g.keys, key)
		}
	}
	return results
}

// await waits for a call, and reports whether it has returned.
func (g *Group[K, V]) await(s *state[V], d *deadline) bool {
	if s.poll(g.wait); s.running == nil {
		return true
	}
	if !d.over {
		select {
		case done := <-s.running:
			s.finish(done, g.wait)
			return true
		case <-d.expired():
		case <-d.ctx.Done():
		}
		d.over = true
	}
	s.slow, s.last.Stale = true, true
	return false
}

// deadline is the end of a wait. It begins when something is first waited for.
type deadline struct {
	ctx   context.Context
	wait  time.Duration
	timer *time.Timer
	over  bool
}

func (d *deadline) expired() <-chan time.Time {
	if d.timer == nil {
		d.timer = time.NewTimer(d.wait)
	}
	return d.timer.C
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// start calls the function in the background.
func (g *Group[K, V]) start(key K, s *state[V]) {
	done := make(chan outcome[V], 1)
	s.running = done
	go func() {
		begin := time.Now()
		value := g.call(key)
		done <- outcome[V]{value, time.Since(begin)}
	}()
}

// poll stores the value of the running call, if it has returned.
func (s *state[V]) poll(wait time.Duration) {
	if s.running == nil {
		return
	}
	select {
	case done := <-s.running:
		s.finish(done, wait)
	default:
	}
}

// finish stores the value of a call. The next one is waited for again if this one took less than half of wait.
func (s *state[V]) finish(done outcome[V], wait time.Duration) {
	s.last, s.running = Result[V]{Value: done.value, Known: true}, nil
	s.slow = s.slow && done.took > wait/2
}
