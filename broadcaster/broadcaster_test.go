package broadcaster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(storetest.Main(m))
}

// counted counts the reads of the real store.
type counted struct {
	*store.Store
	reads atomic.Int64
}

func (c *counted) After(
	ctx context.Context, machineID string, after snapshot.Time, limit int,
) ([]snapshot.State, error) {
	c.reads.Add(1)
	return c.Store.After(ctx, machineID, after, limit)
}

// guard lets everybody watch, but those machines and as long as a test says.
type guard struct {
	mu    sync.Mutex
	hides map[string]bool
	ended bool
	asked int
}

func (g *guard) MayWatch(_ context.Context, _, machineID string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.hides[machineID] && !g.ended, nil
}

func (g *guard) CredentialValid(context.Context) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	return !g.ended, nil
}

func (*guard) CallerKey(context.Context) string { return "the test" }

// change changes what may be watched.
func (g *guard) change(do func(*guard)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do(g)
}

// live is a running broadcaster on a store of its own, with a machine to write.
type live struct {
	b        *broadcaster.Broadcaster
	source   *counted
	guard    *guard
	registry *prometheus.Registry
	server   *httptest.Server
	database string
	series   []snapshot.Snapshot
}

func start(t *testing.T, cfg broadcaster.Config) *live {
	t.Helper()
	l := &live{database: storetest.URL(t), registry: prometheus.NewRegistry(), guard: &guard{hides: map[string]bool{}}}
	l.source = &counted{
		Store: storetest.OpenConfig(t, store.Config{DatabaseURL: l.database, Retention: 24 * time.Hour}),
	}
	cfg.DatabaseURL = l.database
	l.b = broadcaster.New(cfg, l.source, l.guard, storetest.Logger(), l.registry)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.b.Run(ctx); close(done) }()
	engine := gin.New()
	engine.GET("/", l.b.Handle)
	l.server = httptest.NewServer(engine)
	t.Cleanup(func() {
		cancel()
		<-done
		l.b.Close()
		l.server.Close()
	})
	l.series = snapshottest.NewMachine(1, 10).
		Series(snapshot.TimeOf(time.Now().Add(-time.Hour)), 200, time.Second, 10).
		Snapshots
	l.write(t, "m", 0, 1)
	return l
}

// write commits snapshots [from, to) of the series for a machine.
func (l *live) write(t *testing.T, machineID string, from, to int) {
	t.Helper()
	if err := l.source.Write(context.Background(), []*snapshot.Batch{{MachineID: machineID, Snapshots: l.series[from:to]}})[0].Err; err != nil {
		t.Fatal(err)
	}
}

func (l *live) dial(t *testing.T) *socket {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), l.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &socket{t: t, conn: conn}
}

type socket struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *socket) say(format string, args ...any) {
	s.t.Helper()
	if err := s.conn.Write(s.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) hear() broadcaster.LiveMessage {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	_, data, err := s.conn.Read(ctx)
	if err != nil {
		s.t.Fatalf("nothing heard: %v", err)
	}
	var message broadcaster.LiveMessage
	if err := json.Unmarshal(data, &message); err != nil {
		s.t.Fatalf("%v in %s", err, data)
	}
	return message
}

func (s *socket) want(kind string) broadcaster.LiveMessage {
	s.t.Helper()
	message := s.hear()
	if message.Type != kind {
		s.t.Fatalf("heard %s %s %s, want %s", message.Type, message.Message.Code, message.Message.Detail, kind)
	}
	return message
}

func (s *socket) wantSnapshot(ts snapshot.Time) broadcaster.LiveContent {
	s.t.Helper()
	message := s.want("snapshot_message")
	if message.Message.Timestamp != ts {
		s.t.Fatalf("heard of %s, want %s", message.Message.Timestamp, ts)
	}
	return message.Message
}

func TestSubscribeAndUnsubscribe(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	l.write(t, "n", 0, 1)
	s := l.dial(t)
	s.say(`{"action":"subscribe","machine_id":"m"}`)
	if got := s.want("subscribed"); got.Message.MachineID != "m" {
		t.Errorf("subscribed to %q", got.Message.MachineID)
	}
	first := s.wantSnapshot(l.series[0].Timestamp)
	if first.MachineSnapshot == nil || first.MachineSnapshot.CPUUsage == nil || len(first.ProcessTree) == 0 {
		t.Errorf("the first message lacks metrics or processes: %+v", first)
	}
	s.say(`{"action":"subscribe","machine_id":"n"}`)
	s.want("subscribed")
	s.wantSnapshot(l.series[0].Timestamp)
	for i := 1; i < 30; i++ { // every commit arrives, once and in order
		l.write(t, "m", i, i+1)
		if got := s.wantSnapshot(l.series[i].Timestamp); got.MachineID != "m" {
			t.Fatalf("heard of %s", got.MachineID)
		}
	}
	s.say(`{"action":"unsubscribe","machine_id":"m"}`)
	s.want("unsubscribed")
	l.write(t, "m", 30, 31)
	l.write(t, "n", 1, 2)
	if got := s.wantSnapshot(l.series[1].Timestamp); got.MachineID != "n" {
		t.Errorf("heard of %s after unsubscribing", got.MachineID)
	}
}

func TestSinceDeliversWhatWasMissed(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	l.write(t, "m", 1, 8)
	s := l.dial(t)
	s.say(`{"action":"subscribe","machine_id":"m","since":"%s"}`, l.series[4].Timestamp)
	s.want("subscribed")
	for i := 5; i < 8; i++ {
		s.wantSnapshot(l.series[i].Timestamp)
	}
	l.write(t, "m", 8, 9)
	s.wantSnapshot(l.series[8].Timestamp)
	up := l.dial(t) // one that has the newest gets nothing until there is news
	up.say(`{"action":"subscribe","machine_id":"m","since":"%s"}`, l.series[8].Timestamp)
	up.want("subscribed")
	l.write(t, "m", 9, 10)
	up.wantSnapshot(l.series[9].Timestamp)
	// One that has missed a great deal gets the newest, bounded.
	l.write(t, "m", 10, 200)
	late := l.dial(t)
	late.say(`{"action":"subscribe","machine_id":"m","since":"%s"}`, l.series[0].Timestamp)
	late.want("subscribed")
	for i := 140; i < 200; i++ {
		late.wantSnapshot(l.series[i].Timestamp)
	}
}

func TestOneReadForAllWatchers(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	var sockets []*socket
	for range 10 {
		s := l.dial(t)
		s.say(`{"action":"subscribe","machine_id":"m"}`)
		s.want("subscribed")
		s.wantSnapshot(l.series[0].Timestamp)
		sockets = append(sockets, s)
	}
	before := l.source.reads.Load()
	for i := 1; i <= 5; i++ {
		l.write(t, "m", i, i+1)
		l.write(t, "unwatched", i-1, i)
		for _, s := range sockets {
			s.wantSnapshot(l.series[i].Timestamp)
		}
	}
	if reads := l.source.reads.Load() - before; reads != 5 {
		t.Errorf("%d reads for 5 snapshots and 10 watchers", reads)
	}
}

// The connection that listens is cut while snapshots are committed: nothing is
// missed and nothing comes twice.
func TestResyncAfterTheListenerBroke(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	s := l.dial(t)
	s.say(`{"action":"subscribe","machine_id":"m"}`)
	s.want("subscribed")
	s.wantSnapshot(l.series[0].Timestamp)
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
			s.wantSnapshot(l.series[i].Timestamp)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxSubscriptions: 2, MaxSockets: 3})
	l.write(t, "n", 0, 1)
	s := l.dial(t)
	for _, test := range []struct{ say, code string }{
		{`hello`, "bad_request"},
		{`{"action":"dance","machine_id":"m"}`, "bad_request"},
		{`{"action":"subscribe"}`, "bad_request"},
		{`{"action":"subscribe","machine_id":"m","colour":"red"}`, "bad_request"},
		{`{"action":"subscribe","machine_id":"m","since":"noon"}`, "bad_request"},
		{`{"action":"subscribe","machine_id":"nobody"}`, "unknown_machine"},
	} {
		s.say("%s", test.say)
		if got := s.want("error"); got.Message.Code != test.code {
			t.Errorf("%s: %s", test.say, got.Message.Code)
		}
	}
	for _, machineID := range []string{"m", "n"} {
		s.say(`{"action":"subscribe","machine_id":"%s"}`, machineID)
		s.want("subscribed")
		s.want("snapshot_message")
	}
	s.say(`{"action":"subscribe","machine_id":"third"}`)
	if got := s.want("error"); got.Message.Code != "too_many_subscriptions" {
		t.Errorf("a third subscription: %s", got.Message.Code)
	}
	if err := l.source.Delete(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	conn := storetest.Connect(t, l.database)
	if _, err := conn.Exec(t.Context(), `SELECT pg_notify($1, '1,m 5')`, snapshot.NotificationChannel); err != nil {
		t.Fatal(err)
	}
	if got := s.want("error"); got.Message.Code != "unknown_machine" || got.Message.MachineID != "m" {
		t.Errorf("after the machine was deleted: %+v", got.Message)
	}
	l.dial(t)
	l.dial(t)
	if _, response, err := websocket.Dial(t.Context(), l.server.URL, nil); err == nil ||
		response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a socket too many: %v", err)
	}
	if response, err := http.Get(l.server.URL); err != nil || response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("plain HTTP: %v, %v", response, err)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	_, response, err := websocket.Dial(
		t.Context(),
		l.server.URL,
		&websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}},
	)
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin got %v, %v", response, err)
	}
}

func TestHugeMessageEndsTheSocket(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	s := l.dial(t)
	huge := fmt.Appendf(nil, `{"action":"subscribe","machine_id":"%s"}`, strings.Repeat("m", 5000))
	_ = s.conn.Write(t.Context(), websocket.MessageText, huge) // the server may be done with it before its end
	if _, _, err := s.conn.Read(t.Context()); err == nil {
		t.Error("a huge message was read")
	}
}

func TestCloseSendsACloseFrame(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	s := l.dial(t)
	s.say(`{"action":"subscribe","machine_id":"m"}`)
	s.want("subscribed")
	s.want("snapshot_message")
	closed := make(chan struct{})
	go func() { l.b.Close(); close(closed) }()
	_, _, err := s.conn.Read(t.Context())
	if closing, ok := errors.AsType[websocket.CloseError](err); !ok || closing.Code != websocket.StatusGoingAway {
		t.Errorf("the socket ended with %v", err)
	}
	<-closed
}
