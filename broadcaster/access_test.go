package broadcaster_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// notifyAccessChange sends the notification about changed permissions.
func (l *live) notifyAccessChange(t *testing.T) {
	t.Helper()
	if _, err := storetest.Connect(t, l.database).Exec(t.Context(), "NOTIFY snapwatch_access"); err != nil {
		t.Fatal(err)
	}
}

// A machine that the caller may not watch looks like one that does not exist. A socket is closed as soon as
// access to one of its machines is revoked or its session expires.
func TestRevokedAccessClosesSockets(t *testing.T) {
	t.Parallel()
	listening := make(chan bool, 100)
	l := start(t, broadcaster.Config{OnListening: func(connected bool) { listening <- connected }})
	if !<-listening {
		t.Error("the first call of OnListening does not report a connected listener")
	}
	l.write(t, "hidden", 0, 1)
	l.permissions.deny("hidden")

	subscribed, unsubscribed := l.dial(t), l.dial(t)
	subscribed.send(`{"action":"subscribe","machine_id":"hidden"}`)
	subscribed.expectError("unknown_machine")
	for _, s := range []*socket{subscribed, unsubscribed} {
		s.send(`{"action":"subscribe","machine_id":"m"}`)
		s.expect("subscribed")
		s.expect("snapshot_message")
	}
	unsubscribed.send(`{"action":"unsubscribe","machine_id":"m"}`)
	unsubscribed.expect("unsubscribed")

	l.permissions.deny("m")
	l.notifyAccessChange(t)
	if code := subscribed.closeCode(); code != 4403 {
		t.Errorf("close code %d after access was revoked, want 4403", code)
	}
	unsubscribed.send(`{"action":"subscribe","machine_id":"m"}`) // still open, because it watches no machine
	unsubscribed.expectError("unknown_machine")
	l.permissions.expireCredential()
	l.notifyAccessChange(t)
	if code := unsubscribed.closeCode(); code != 4401 {
		t.Errorf("close code %d after the session expired, want 4401", code)
	}
}

// A socket is closed when the caller's credential expires, and not at the next check of all sockets.
func TestExpiryClosesSockets(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	expires := time.Now().Add(time.Second)
	l.permissions.mu.Lock()
	l.permissions.expires = expires
	l.permissions.mu.Unlock()
	s := l.dial(t)
	if code := s.closeCode(); code != 4401 {
		t.Errorf("close code %d after the credential expired, want 4401", code)
	}
	if late := time.Since(expires); late < 0 || late > 8*time.Second {
		t.Errorf("closed %s after the credential expired", late)
	}
}

func TestMaxCallerSockets(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxCallerSockets: 2})
	l.dial(t)
	l.dial(t)
	if _, response, err := websocket.Dial(t.Context(), l.server.URL, nil); err == nil ||
		response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a third socket: %v, %v", response, err)
	}
}

// A socket may send 400 requests at once and 20 each second.
func TestRequestRateIsLimited(t *testing.T) {
	t.Parallel()
	var seconds atomic.Int64
	l := start(t, broadcaster.Config{Now: func() time.Time { return time.Unix(seconds.Load(), 0) }})
	s := l.dial(t)
	for _, allowed := range []int{400, 20} {
		for range allowed + 1 {
			s.send(`{"action":"unsubscribe","machine_id":"m"}`)
		}
		for range allowed {
			s.expect("unsubscribed")
		}
		s.expectError("too_many_requests")
		seconds.Add(1)
	}
}
