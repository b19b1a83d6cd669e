package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// gate is a server that knows tokens.
type gate struct {
	mu      sync.Mutex
	valid   map[string]bool
	key     string   // the enrolment key that counts
	uses    int      // of it
	issued  int      // tokens given out
	loses   bool     // the answer to a rotation gets lost
	seen    []string // tokens of posts that were let in
	replace map[string]string
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	issue := func() string {
		g.issued++
		fresh := "token-" + string(rune('0'+g.issued))
		g.valid[fresh] = true
		return fresh
	}
	switch {
	case r.URL.Path == "/api/v1/enrol":
		var body struct{ Key string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.Key != g.key || g.uses == 0 {
			http.Error(w, `{"code":"bad_enrolment_key"}`, http.StatusUnauthorized)
			return
		}
		g.uses--
		_ = json.NewEncoder(w).Encode(map[string]string{"token": issue()})
	case !g.valid[token]:
		http.Error(w, `{"code":"unauthenticated"}`, http.StatusUnauthorized)
	case strings.HasSuffix(r.URL.Path, "/token"):
		fresh := issue()
		g.replace[fresh] = token
		if g.loses {
			w.Header().Set("Content-Length", "100") // and it breaks off
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": fresh})
	default:
		if old := g.replace[token]; old != "" {
			delete(g.valid, old)
		}
		g.seen = append(g.seen, token)
		_, _ = w.Write(
			[]byte(
				`{"machine_id":"m","polling_interval":5,"enabled":true,"stored":1,"config":{"polling_interval":5,"enabled":true},"config_version":1}`,
			),
		)
	}
}

func (g *gate) last() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.seen) == 0 {
		return ""
	}
	return g.seen[len(g.seen)-1]
}

func startGate(t *testing.T, key string, uses int) (*gate, string) {
	t.Helper()
	g := &gate{valid: map[string]bool{}, replace: map[string]string{}, key: key, uses: uses}
	web := httptest.NewServer(g)
	t.Cleanup(web.Close)
	return g, web.URL
}

func step(t *testing.T, a *Agent) error {
	t.Helper()
	a.sender.queue.add(
		queued{
			at:   snapshot.TimeOf(time.Now()),
			kind: snapshot.KindFull,
			json: []byte(`{"timestamp":"2026-11-24T00:00:00Z"}`),
		},
	)
	_, err := a.sender.step(t.Context())
	return err
}

// reopen starts an agent as after a restart. A lock that was given up is held for a
// moment more by what other tests fork just now, until it calls exec.
func reopen(t *testing.T, cfg Config) *Agent {
	t.Helper()
	a, err := New(t.Context(), cfg, quiet())
	for range 100 {
		if err == nil || !strings.Contains(err.Error(), "another program uses it") {
			break
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
		a, err = New(t.Context(), cfg, quiet())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.lock.Close() })
	return a
}

func TestEnrolment(t *testing.T) {
	t.Parallel()
	g, url := startGate(t, "the key", 2)
	cfg := Config{Server: url, StateDir: t.TempDir(), MachineID: "m"}

	a := reopen(t, cfg)
	if err := step(t, a); !notLetIn(err) || !strings.Contains(err.Error(), "SNAPWATCH_ENROLMENT_KEY") {
		t.Errorf("without a token or a key: %v", err)
	}
	_ = a.lock.Close()

	cfg.EnrolmentKey = "the key"
	a = reopen(t, cfg)
	if err := step(t, a); err != nil || g.last() != "token-1" {
		t.Fatalf("with a key: %v, %q", err, g.last())
	}
	if info, err := os.Stat(filepath.Join(cfg.StateDir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token is kept as %v (%v)", info, err)
	}
	_ = a.lock.Close()

	a = reopen(t, cfg)
	if err := step(t, a); err != nil || g.last() != "token-1" || g.uses != 1 {
		t.Fatalf("after a restart: %v, %q, %d uses left", err, g.last(), g.uses)
	}
	// Revoked: the key has a use left, and no snapshot is lost.
	delete(g.valid, "token-1")
	if err := step(t, a); err != nil {
		t.Fatalf("after being revoked: %v", err)
	}
	if _, err := a.sender.step(t.Context()); err != nil || g.last() != "token-2" {
		t.Fatalf("with the new token: %v, %q", err, g.last())
	}
	// Revoked, and the key is used up: it keeps what it has, and says so.
	delete(g.valid, "token-2")
	err := step(t, a)
	if waiting, _, _ := a.sender.queue.size(); !notLetIn(err) || waiting == 0 {
		t.Errorf("not let in: %v, %d wait", err, waiting)
	}
}

// A token is rotated after a month, and whatever gets lost on the way, one gets in.
func TestRotation(t *testing.T) {
	t.Parallel()
	g, url := startGate(t, "the key", 1)
	cfg := Config{Server: url, StateDir: t.TempDir(), MachineID: "m", EnrolmentKey: "the key"}
	a := reopen(t, cfg)
	if err := step(t, a); err != nil {
		t.Fatal(err)
	}
	age := func() {
		t.Helper()
		old := time.Now().Add(-rotateAfter - time.Hour)
		if err := os.Chtimes(filepath.Join(cfg.StateDir, "token"), old, old); err != nil {
			t.Fatal(err)
		}
		_ = a.lock.Close()
		a = reopen(t, cfg)
	}
	g.loses = true
	age()
	if err := step(t, a); err != nil || g.last() != "token-1" {
		t.Fatalf("the new token was lost: %v, %q", err, g.last())
	}
	g.loses = false
	age()
	if err := step(t, a); err != nil || g.last() != "token-3" || g.valid["token-1"] {
		t.Fatalf("rotated: %v, %q", err, g.last())
	}
	_ = a.lock.Close()
	a = reopen(t, cfg)
	if err := step(t, a); err != nil || g.last() != "token-3" {
		t.Fatalf("after a restart: %v, %q", err, g.last())
	}
}

func TestPlainHTTPIsTold(t *testing.T) {
	t.Parallel()
	for server, warns := range map[string]bool{"http://127.0.0.1:1": false, "http://localhost:1": false, "http://[::1]:1": false, "https://snapwatch.test": false, "http://snapwatch.test": true} {
		var log bytes.Buffer
		a, err := New(
			t.Context(), Config{Server: server, StateDir: t.TempDir(), MachineID: "m"},
			slog.New(slog.NewTextHandler(&log, nil)),
		)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.lock.Close()
		if strings.Contains(log.String(), "in the clear") != warns {
			t.Errorf("%s: %s", server, log.String())
		}
	}
}

// The wait of an agent that is not let in is long, and ends with it.
func TestNotLetInWaits(t *testing.T) {
	t.Parallel()
	g, url := startGate(t, "", 0)
	a := reopen(t, Config{Server: url, StateDir: t.TempDir(), MachineID: "m", Token: "of somebody else"})
	a.sender.queue.add(queued{at: 1, kind: snapshot.KindFull, json: []byte(`{}`)})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	a.sender.run(ctx)
	if g.last() != "" {
		t.Error("it was let in")
	}
	if waiting, _, _ := a.sender.queue.size(); waiting != 1 {
		t.Errorf("%d snapshots wait", waiting)
	}
}
