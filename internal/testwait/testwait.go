// Package testwait waits in tests for a condition that no signal announces.
package testwait

import (
	"context"
	"testing"
	"time"
)

const (
	firstPause = 5 * time.Millisecond
	maxPause   = 100 * time.Millisecond
	// reserve is left of the test binary's time for the failure message and for cleanup.
	reserve = 30 * time.Second
)

// Until checks condition until it returns true, with a pause between two checks. There is no
// other bound than the deadline of the test binary (go test -timeout), so that a slow machine
// makes a test slower and never makes it fail. When that deadline is near, or the test's context
// ends, the test fails with what it waited for, for example "the socket to be closed".
//
// Until must be called from the goroutine that runs the test.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := Context(t)
	defer cancel()
	for pause := firstPause; !condition(); pause = min(2*pause, maxPause) {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(pause):
		}
	}
}

// Context returns a context of the test that ends shortly before the deadline of the test
// binary. Use it for calls that wait for a signal: a server's answer, a message on a socket.
func Context(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	if test, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, set := test.Deadline(); set {
			return context.WithDeadline(t.Context(), deadline.Add(-reserve))
		}
	}
	return context.WithCancel(t.Context()) // a benchmark, or -timeout 0
}
