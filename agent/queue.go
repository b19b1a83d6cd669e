package agent

import (
	"sync"

	"github.com/snapwatch/snapwatch/snapshot"
)

// queued is a snapshot that waits to be sent, encoded.
type queued struct {
	at   snapshot.Time
	kind snapshot.Kind
	json []byte
}

// queue keeps snapshots in memory until they are acknowledged, bounded in bytes.
// A spool on disk can take its place: the sender only looks at the head, and
// removes it once the server has it.
type queue struct {
	limit int

	mu      sync.Mutex
	list    []queued
	bytes   int
	dropped int
	wake    chan struct{}
}

func newQueue(limit int) *queue { return &queue{limit: limit, wake: make(chan struct{}, 1)} }

// add appends a snapshot. If the bound is passed the oldest go, with the changes
// that rest on them; it returns how many.
func (q *queue) add(s queued) (dropped int) {
	q.mu.Lock()
	q.list = append(q.list, s)
	q.bytes += len(s.json)
	for q.bytes > q.limit && len(q.list) > 0 {
		dropped += q.cut()
	}
	q.dropped += dropped
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped
}

// head returns the oldest snapshots: at most n, and no more than fit limit bytes
// but at least one.
func (q *queue) head(n, limit int) []queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for i := range q.list {
		size += len(q.list[i].json)
		if i == n || i > 0 && size > limit {
			return append([]queued(nil), q.list[:i]...)
		}
	}
	return append([]queued(nil), q.list...)
}

// remove takes out the snapshots up to an instant: the server has them. They are
// named by time because some may have been dropped meanwhile.
func (q *queue) remove(through snapshot.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) > 0 && q.list[0].at <= through {
		q.pop()
	}
}

// dropChain takes out the oldest snapshot, if it is still that of the instant,
// and the changes that rest on it; it returns how many.
func (q *queue) dropChain(at snapshot.Time) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 || q.list[0].at != at {
		return 0
	}
	n := q.cut()
	q.dropped += n
	return n
}

// cut removes the head and the changes after it.
func (q *queue) cut() int {
	n := 1
	q.pop()
	for len(q.list) > 0 && q.list[0].kind == snapshot.KindChanges {
		q.pop()
		n++
	}
	return n
}

func (q *queue) pop() {
	q.bytes -= len(q.list[0].json)
	q.list[0].json = nil
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil
	}
}

// size returns what waits: snapshots and bytes, and how many were dropped so far.
func (q *queue) size() (snapshots, bytes, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list), q.bytes, q.dropped
}
