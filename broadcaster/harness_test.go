package broadcaster_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/metricstest"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(storetest.Main(m))
}

// writeBuffer is the size of the kernel's send buffer that tests set for the server's sockets, in bytes. By
// default it grows to megabytes, and a test of a client that does not read needs as much data to fill it.
const writeBuffer = 64 << 10

// countingStore counts the reads of a store.
type countingStore struct {
	*store.Store
	reads atomic.Int64
}

func (c *countingStore) After(
	ctx context.Context, machineID string, after snapshot.Time, limit int,
) ([]snapshot.State, error) {
	c.reads.Add(1)
	return c.Store.After(ctx, machineID, after, limit)
}

// permissions is an Authorizer that allows everything except what a test denies.
type permissions struct {
	mu                sync.Mutex
	deniedMachines    map[string]bool
	credentialExpired bool
	expires           time.Time
}

func (p *permissions) MayWatch(_ context.Context, _, machineID string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.deniedMachines[machineID] && !p.credentialExpired, nil
}

func (p *permissions) CredentialValid(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.credentialExpired && (p.expires.IsZero() || time.Now().Before(p.expires)), nil
}

func (p *permissions) CredentialExpires(context.Context) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expires
}

func (*permissions) CallerKey(context.Context) string { return "the test" }

func (p *permissions) deny(machineID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deniedMachines[machineID] = true
}

func (p *permissions) expireCredential() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.credentialExpired = true
}

// live is a running broadcaster with its own database, in which machine m has the first snapshot of series.
type live struct {
	b           *broadcaster.Broadcaster
	source      *countingStore
	permissions *permissions
	registry    *prometheus.Registry
	server      *httptest.Server
	database    string
	series      []snapshot.Snapshot
}

// start starts a broadcaster. Unless cfg sets other timeouts, no socket is closed because a client or the
// machine is slow.
func start(t *testing.T, cfg broadcaster.Config) *live {
	t.Helper()
	l := &live{
		database:    storetest.URL(t),
		registry:    prometheus.NewRegistry(),
		permissions: &permissions{deniedMachines: map[string]bool{}},
		series:      series(snapshottest.NewMachine(1, 10), 200, 10),
	}
	l.source = &countingStore{
		Store: storetest.OpenConfig(t, store.Config{DatabaseURL: l.database, Retention: 24 * time.Hour}),
	}
	cfg.DatabaseURL = l.database
	cfg.PingInterval, cfg.PongTimeout = 24*time.Hour, 25*time.Hour
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 24 * time.Hour
	}
	l.b = broadcaster.New(cfg, l.source, l.permissions, storetest.Logger(), l.registry)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.b.Run(ctx) })
	engine := gin.New()
	engine.GET("/", l.b.Handle)
	l.server = httptest.NewUnstartedServer(engine)
	l.server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			_ = conn.(*net.TCPConn).SetWriteBuffer(writeBuffer)
		}
	}
	l.server.Start()
	t.Cleanup(func() {
		cancel()
		running.Wait()
		l.b.Close()
		l.server.Close()
	})
	l.waitForMetric(t, "snapwatch_live_listener_connected", 1)
	l.write(t, "m", 0, 1)
	return l
}

// waitForMetric waits until a metric has a value. The listener updates its metrics after it has woken the
// topics.
func (l *live) waitForMetric(t *testing.T, name string, value float64) {
	t.Helper()
	testwait.Until(t, fmt.Sprintf("%s to be %v", name, value), func() bool {
		return metricstest.Value(t, l.registry, name) == value
	})
}

// series returns n snapshots of a machine, one a second, from the start of the previous hour on.
func series(machine *snapshottest.Machine, n, fullEvery int) []snapshot.Snapshot {
	begin := snapshot.TimeOf(time.Now().Add(-time.Hour).Truncate(time.Hour))
	return machine.Series(begin, n, time.Second, fullEvery).Snapshots
}

// write commits the snapshots [from, to) of the series for a machine.
func (l *live) write(t *testing.T, machineID string, from, to int) {
	t.Helper()
	batch := &snapshot.Batch{MachineID: machineID, Snapshots: l.series[from:to]}
	if err := l.source.Write(context.Background(), []*snapshot.Batch{batch})[0].Err; err != nil {
		t.Fatal(err)
	}
}

// socket is a client's WebSocket connection.
type socket struct {
	t    *testing.T
	conn *websocket.Conn
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

// subscribe subscribes to a machine's process trees and waits for the confirmation.
func (l *live) subscribe(t *testing.T, machineID string) *socket {
	t.Helper()
	s := l.dial(t)
	s.send(`{"action":"subscribe","machine_id":"%s"}`, machineID)
	s.expect("subscribed")
	return s
}

func (s *socket) send(format string, args ...any) {
	s.t.Helper()
	if err := s.conn.Write(s.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		s.t.Fatal(err)
	}
}

// receive waits for the next message.
func (s *socket) receive() broadcaster.LiveMessage {
	s.t.Helper()
	ctx, cancel := testwait.Context(s.t)
	defer cancel()
	_, data, err := s.conn.Read(ctx)
	if err != nil {
		s.t.Fatalf("no message: %v", err)
	}
	var message broadcaster.LiveMessage
	if err := json.Unmarshal(data, &message); err != nil {
		s.t.Fatalf("%v in %s", err, data)
	}
	return message
}

// expect fails the test if the next message is not of the given type.
func (s *socket) expect(kind string) broadcaster.LiveMessage {
	s.t.Helper()
	message := s.receive()
	if message.Type != kind {
		s.t.Fatalf("received %s %s %s, want %s", message.Type, message.Message.Code, message.Message.Detail, kind)
	}
	return message
}

// expectSnapshot fails the test if the next message is not the snapshot_message of an instant.
func (s *socket) expectSnapshot(ts snapshot.Time) broadcaster.LiveContent {
	s.t.Helper()
	message := s.expect("snapshot_message")
	if message.Message.Timestamp != ts {
		s.t.Fatalf("received the snapshot of %s, want %s", message.Message.Timestamp, ts)
	}
	return message.Message
}

// expectError fails the test if the next message is not an error with a code.
func (s *socket) expectError(code string) broadcaster.LiveContent {
	s.t.Helper()
	message := s.expect("error")
	if message.Message.Code != code {
		s.t.Errorf("received the error %s, want %s", message.Message.Code, code)
	}
	return message.Message
}

// closeCode waits until the server closes the socket and returns its close code.
func (s *socket) closeCode() websocket.StatusCode {
	s.t.Helper()
	ctx, cancel := testwait.Context(s.t)
	defer cancel()
	for {
		if _, _, err := s.conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}
