package auth

import (
	"context"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/store/accounts"
)

const (
	// maxEnrolments is the maximum number of enrolments that wait. Further ones get ErrBusy.
	maxEnrolments = 20_000
	// enrolmentGroup is the maximum number of enrolments of one transaction.
	enrolmentGroup = 200
	// enrolmentTimeout limits a transaction.
	enrolmentTimeout = 15 * time.Second
)

// enrolmentQueue enrols the agents that wait at the same time in one transaction. Otherwise they would wait for each
// other's commit, because all of a fleet use the same key. It is safe for concurrent use.
type enrolmentQueue struct {
	accounts *accounts.Accounts

	mu      sync.Mutex
	waiting []*waitingEnrolment
	running bool // whether a goroutine of run exists
}

// waitingEnrolment is an enrolment, and the context of the caller that waits for it.
type waitingEnrolment struct {
	*accounts.Enrolment
	ctx  context.Context
	done chan struct{} // closed when Err is set
}

func newEnrolmentQueue(tables *accounts.Accounts) *enrolmentQueue {
	return &enrolmentQueue{accounts: tables}
}

// enrol waits until an enrolment is committed, and returns its error. If ctx ends before that, the agent may be
// enrolled nevertheless.
func (q *enrolmentQueue) enrol(ctx context.Context, e *accounts.Enrolment) error {
	w := &waitingEnrolment{Enrolment: e, ctx: ctx, done: make(chan struct{})}
	q.mu.Lock()
	if len(q.waiting) >= maxEnrolments {
		q.mu.Unlock()
		return ErrBusy
	}
	q.waiting = append(q.waiting, w)
	if !q.running {
		q.running = true
		go q.run()
	}
	q.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.done:
		return w.Err
	}
}

// run commits groups until no enrolment waits.
func (q *enrolmentQueue) run() {
	for group := q.next(); group != nil; group = q.next() {
		q.commit(group)
	}
}

// next removes and returns the first enrolments that wait, at most one of each machine. If there are none, it returns
// nil, and run ends.
func (q *enrolmentQueue) next() (group []*waitingEnrolment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var rest []*waitingEnrolment
	machines := make(map[string]bool)
	for _, w := range q.waiting {
		if len(group) == enrolmentGroup || machines[w.MachineID] {
			rest = append(rest, w)
		} else {
			machines[w.MachineID] = true
			group = append(group, w)
		}
	}
	q.waiting, q.running = rest, len(group) > 0
	return group
}

// commit enrols the agents of a group whose callers still wait.
func (q *enrolmentQueue) commit(group []*waitingEnrolment) {
	ctx, cancel := context.WithTimeout(context.Background(), enrolmentTimeout)
	defer cancel()
	var list []*accounts.Enrolment
	for _, w := range group {
		if w.Err = w.ctx.Err(); w.Err == nil {
			list = append(list, w.Enrolment)
		}
	}
	err := q.accounts.Enrol(ctx, list)
	for _, w := range group {
		if w.Err == nil {
			w.Err = err
		}
		close(w.done)
	}
}
