package broadcaster_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestSubscribeAndUnsubscribe(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	l.write(t, "n", 0, 1)
	s := l.dial(t)
	s.send(`{"action":"subscribe","machine_id":"m"}`)
	if got := s.expect("subscribed"); got.Message.MachineID != "m" {
		t.Errorf("subscribed to %q", got.Message.MachineID)
	}
	first := s.expectSnapshot(l.series[0].Timestamp)
	if first.MachineSnapshot == nil || first.MachineSnapshot.CPUUsage == nil || len(first.ProcessTree) == 0 {
		t.Errorf("the first message lacks metrics or processes: %+v", first)
	}
	s.send(`{"action":"subscribe","machine_id":"n"}`)
	s.expect("subscribed")
	s.expectSnapshot(l.series[0].Timestamp)
	for i := 1; i < 30; i++ { // every commit arrives once and in order
		l.write(t, "m", i, i+1)
		if got := s.expectSnapshot(l.series[i].Timestamp); got.MachineID != "m" {
			t.Fatalf("received a snapshot of %s", got.MachineID)
		}
	}
	s.send(`{"action":"unsubscribe","machine_id":"m"}`)
	s.expect("unsubscribed")
	l.write(t, "m", 30, 31)
	l.write(t, "n", 1, 2)
	if got := s.expectSnapshot(l.series[1].Timestamp); got.MachineID != "n" {
		t.Errorf("received a snapshot of %s after unsubscribing from it", got.MachineID)
	}
}

func TestSinceSendsMissedSnapshots(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	l.write(t, "m", 1, 8)
	s := l.dial(t)
	s.send(`{"action":"subscribe","machine_id":"m","since":"%s"}`, l.series[4].Timestamp)
	s.expect("subscribed")
	for i := 5; i < 8; i++ {
		s.expectSnapshot(l.series[i].Timestamp)
	}
	l.write(t, "m", 8, 9)
	s.expectSnapshot(l.series[8].Timestamp)
	// A client that has the newest snapshot receives only later ones.
	current := l.dial(t)
	current.send(`{"action":"subscribe","machine_id":"m","since":"%s"}`, l.series[8].Timestamp)
	current.expect("subscribed")
	l.write(t, "m", 9, 10)
	current.expectSnapshot(l.series[9].Timestamp)
	// A client that has missed more than 60 receives the newest 60.
	l.write(t, "m", 10, 200)
	late := l.dial(t)
	late.send(`{"action":"subscribe","machine_id":"m","since":"%s"}`, l.series[0].Timestamp)
	late.expect("subscribed")
	for i := 140; i < 200; i++ {
		late.expectSnapshot(l.series[i].Timestamp)
	}
}

func TestOneReadForAllSubscribers(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	l.waitForMetric(t, "snapwatch_live_notices_total", 1) // a later notification would cause another read
	var sockets []*socket
	for range 10 {
		s := l.subscribe(t, "m")
		s.expectSnapshot(l.series[0].Timestamp)
		sockets = append(sockets, s)
	}
	before := l.source.reads.Load()
	for i := 1; i <= 5; i++ {
		l.write(t, "m", i, i+1)
		l.write(t, "unwatched", i-1, i)
		for _, s := range sockets {
			s.expectSnapshot(l.series[i].Timestamp)
		}
	}
	if reads := l.source.reads.Load() - before; reads != 5 {
		t.Errorf("%d reads for 5 snapshots and 10 subscribers, want 5", reads)
	}
}

// Snapshots that are committed while the listener is disconnected arrive once and in order.
func TestListenerReconnects(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	s := l.subscribe(t, "m")
	s.expectSnapshot(l.series[0].Timestamp)
	conn := storetest.Connect(t, l.database)
	for round := range 3 {
		if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name = 'snapwatch listener' AND datname = current_database()`); err != nil {
			t.Fatal(err)
		}
		for i := 1 + 5*round; i <= 5+5*round; i++ {
			l.write(t, "m", i, i+1)
		}
		for i := 1 + 5*round; i <= 5+5*round; i++ {
			s.expectSnapshot(l.series[i].Timestamp)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxSubscriptions: 2, MaxSockets: 3})
	l.write(t, "n", 0, 1)
	s := l.dial(t)
	for _, test := range []struct{ request, code string }{
		{`hello`, "bad_request"},
		{`{"action":"dance","machine_id":"m"}`, "bad_request"},
		{`{"action":"subscribe"}`, "bad_request"},
		{`{"action":"subscribe","machine_id":"m","colour":"red"}`, "bad_request"},
		{`{"action":"subscribe","machine_id":"m","since":"noon"}`, "bad_request"},
		{`{"action":"subscribe","machine_id":"nobody"}`, "unknown_machine"},
	} {
		s.send("%s", test.request)
		if got := s.expect("error"); got.Message.Code != test.code {
			t.Errorf("%s: %s, want %s", test.request, got.Message.Code, test.code)
		}
	}
	for _, machineID := range []string{"m", "n"} {
		s.send(`{"action":"subscribe","machine_id":"%s"}`, machineID)
		s.expect("subscribed")
		s.expect("snapshot_message")
	}
	s.send(`{"action":"subscribe","machine_id":"third"}`)
	s.expectError("too_many_subscriptions")
	if err := l.source.Delete(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	conn := storetest.Connect(t, l.database)
	if _, err := conn.Exec(t.Context(), `SELECT pg_notify($1, '1,m 5')`, snapshot.NotificationChannel); err != nil {
		t.Fatal(err)
	}
	if got := s.expectError("unknown_machine"); got.MachineID != "m" {
		t.Errorf("after the machine was deleted: %+v", got)
	}
	l.dial(t)
	l.dial(t)
	if _, response, err := websocket.Dial(t.Context(), l.server.URL, nil); err == nil ||
		response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a fourth socket: %v", err)
	}
	if response, err := http.Get(l.server.URL); err != nil || response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("plain HTTP: %v, %v", response, err)
	}
}

func TestOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	_, response, err := websocket.Dial(t.Context(), l.server.URL, &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {"https://evil.example"}},
	})
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin got %v, %v", response, err)
	}
}

func TestTooLargeRequestClosesTheSocket(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	s := l.dial(t)
	large := fmt.Appendf(nil, `{"action":"subscribe","machine_id":"%s"}`, strings.Repeat("m", 5000))
	ctx, cancel := testwait.Context(t)
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, large) // fails if the server has closed the socket before its end
	if _, _, err := s.conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the socket is still open after a large request: %v", err)
	}
}

func TestCloseSendsACloseFrame(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	s := l.subscribe(t, "m")
	s.expect("snapshot_message")
	closed := make(chan struct{})
	go func() { l.b.Close(); close(closed) }()
	_, _, err := s.conn.Read(t.Context())
	if closing, ok := errors.AsType[websocket.CloseError](err); !ok || closing.Code != websocket.StatusGoingAway {
		t.Errorf("the socket was closed with %v", err)
	}
	<-closed
}
