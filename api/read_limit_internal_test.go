package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/problem"
)

// The next turn is that of the caller with the fewest running reads, and half of them are for one caller at most.
func TestTurnsOfReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newReadLimit(4, prometheus.NewRegistry())
		order := make(chan string, 10)
		var mu sync.Mutex
		var releases []func()
		ask := func(caller string) {
			go func() {
				release, err := limit.acquire(t.Context(), caller)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				releases = append(releases, release)
				mu.Unlock()
				order <- caller
			}()
			synctest.Wait()
		}
		for _, caller := range []string{"a", "a", "a", "b", "a", "c", "d"} {
			ask(caller)
		}
		taken := func() (got string) {
			synctest.Wait()
			for {
				select {
				case caller := <-order:
					got += caller
				default:
					return got
				}
			}
		}
		if got := taken(); got != "aabc" {
			t.Errorf("the first turns are for %s", got)
		}
		release := func(i int) {
			mu.Lock()
			end := releases[i]
			mu.Unlock()
			end()
		}
		release(2) // of b
		if got := taken(); got != "d" {
			t.Errorf("then %s has a turn", got)
		}
		release(0) // of a
		release(0) // no effect
		if got := taken(); got != "a" {
			t.Errorf("then %s has a turn", got)
		}
		for i := range 6 {
			release(i)
		}
		if got := taken(); got != "a" {
			t.Errorf("then %s has a turn", got)
		}
		release(6)
		if len(limit.callers) != 0 || limit.running != 0 || len(limit.waiting) != 0 {
			t.Errorf("left over: %+v, %d, %d", limit.callers, limit.running, len(limit.waiting))
		}
	})
}

// The only read of a caller has the next turn, however many reads of others came before it. Callers with many reads
// have turns alternately, and the reads of a caller have theirs in order of arrival.
func TestTurnsAreSharedFairly(t *testing.T) {
	t.Parallel()
	limit := newReadLimit(1, prometheus.NewRegistry())
	enter := func(caller string) *waitingRead {
		t.Helper()
		read, err := limit.enter(caller)
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	hasTurn := func(read *waitingRead) bool {
		select {
		case <-read.turn:
			return true
		default:
			return false
		}
	}
	running := enter("a")
	var waiting []*waitingRead
	for range maxCallerWaiting {
		waiting = append(waiting, enter("a"))
	}
	single := enter("b")
	if !hasTurn(running) || hasTurn(single) {
		t.Fatal("the first read has no turn, or a second one has")
	}
	limit.leave("a")
	if !hasTurn(single) {
		t.Error("the single read of b waits for more than one turn")
	}
	limit.leave("b")
	for i := range 4 {
		waiting = append(waiting, enter("c"))
		if c := waiting[maxCallerWaiting+i]; hasTurn(c) || !hasTurn(waiting[0]) {
			t.Fatal("the next turn is not that of the first read of a")
		}
	}
	var order string
	for a, c := 0, maxCallerWaiting; len(order) < 8; {
		switch {
		case a < maxCallerWaiting && hasTurn(waiting[a]):
			order, a = order+"a", a+1
			limit.leave("a")
		case c < len(waiting) && hasTurn(waiting[c]):
			order, c = order+"c", c+1
			limit.leave("c")
		default:
			t.Fatalf("after %s, the turn is not that of the next read of a caller", order)
		}
	}
	if order != "acacacac" {
		t.Errorf("the turns are those of %s", order)
	}
}

// The numbers of waiting reads, of one caller and of all, and the time of waiting are bounded.
func TestBoundsOfWaitingReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newReadLimit(1, prometheus.NewRegistry())
		release, err := limit.acquire(t.Context(), "first")
		if err != nil {
			t.Fatal(err)
		}
		waiting, leave := context.WithCancel(t.Context())
		failed := make(chan error, maxWaiting+1)
		ask := func(caller string) {
			go func() {
				_, err := limit.acquire(waiting, caller)
				failed <- err
			}()
			synctest.Wait()
		}
		statusOf := func(err error) int {
			p, ok := errors.AsType[*problem.Problem](err)
			if !ok {
				t.Fatal(err)
			}
			return p.Status
		}
		for range maxCallerWaiting + 1 {
			ask("greedy")
		}
		if status := statusOf(<-failed); status != http.StatusTooManyRequests {
			t.Errorf("too many of one caller: %d", status)
		}
		for i := range maxWaiting - maxCallerWaiting + 1 {
			ask(fmt.Sprint("caller ", i))
		}
		if status := statusOf(<-failed); status != http.StatusServiceUnavailable {
			t.Errorf("too many of all: %d", status)
		}
		time.Sleep(maxReadWait) // of the bubble's clock
		for range maxWaiting {
			if status := statusOf(<-failed); status != http.StatusServiceUnavailable {
				t.Errorf("after the time to wait: %d", status)
			}
		}
		ask("one that leaves")
		leave()
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		release()
		if len(limit.callers) != 0 || limit.running != 0 || len(limit.waiting) != 0 {
			t.Errorf("left over: %+v, %d, %d", limit.callers, limit.running, len(limit.waiting))
		}
	})
}

// A read whose response has begun waits longer than others, but not for ever.
func TestPatientReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newReadLimit(1, prometheus.NewRegistry())
		end, err := limit.acquire(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*maxReadWait, end) // of the bubble's clock
		release, err := limit.acquirePatiently(t.Context(), "export")
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := limit.acquirePatiently(t.Context(), "second export"); err == nil {
			t.Error("there are two turns")
		}
		if waited := time.Since(started); waited < maxPatience || waited > maxPatience+maxReadWait+patientRetry {
			t.Errorf("gave up after %s", waited)
		}
		leaving, leave := context.WithCancel(t.Context())
		time.AfterFunc(maxReadWait+patientRetry/2, leave)
		if _, err := limit.acquirePatiently(leaving, "client that leaves"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		release()
		if len(limit.callers) != 0 || limit.running != 0 || len(limit.waiting) != 0 {
			t.Errorf("left over: %+v, %d, %d", limit.callers, limit.running, len(limit.waiting))
		}
	})
}
