package delivery

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/wake"
	"github.com/snapwatch/snapwatch/snapshot"
)

// gate is a server that issues and checks tokens.
type gate struct {
	mu       sync.Mutex
	valid    map[string]bool
	key      string   // the valid enrolment key
	uses     int      // how often it may still be used
	issued   int      // number of issued tokens
	loses    bool     // the response to a rotation is lost
	seen     []string // tokens of accepted posts
	replace  map[string]string
	rejected wake.Signal // receives after a request with an invalid token
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
		g.rejected.Notify()
	case strings.HasSuffix(r.URL.Path, "/token"):
		fresh := issue()
		g.replace[fresh] = token
		if g.loses {
			w.Header().Set("Content-Length", "100") // the response ends early
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"token": fresh})
	default:
		if old := g.replace[token]; old != "" {
			delete(g.valid, old)
		}
		g.seen = append(g.seen, token)
		const config = `"polling_interval":5,"enabled":true`
		_, _ = io.WriteString(w, `{"machine_id":"m",`+config+`,"stored":1,"config":{`+config+`},"config_version":1}`)
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
	g := &gate{
		valid:    map[string]bool{},
		replace:  map[string]string{},
		key:      key,
		uses:     uses,
		rejected: wake.New(),
	}
	web := httptest.NewServer(g)
	t.Cleanup(web.Close)
	return g, web.URL
}

// sendOne queues a snapshot and does one step.
func sendOne(t *testing.T, s *Sender) error {
	t.Helper()
	s.queue.Add(entry(1, snapshot.KindFull))
	_, err := s.step(t.Context())
	return err
}

func TestEnrolment(t *testing.T) {
	t.Parallel()
	g, url := startGate(t, "the key", 2)
	settings := senderSettings{server: url, stateDir: t.TempDir()}

	s, _ := newTestSender(t, settings)
	if err := sendOne(t, s); !unauthorized(err) || !strings.Contains(err.Error(), "SNAPWATCH_ENROLMENT_KEY") {
		t.Errorf("without a token or a key: %v", err)
	}

	settings.key = "the key"
	s, _ = newTestSender(t, settings)
	if err := sendOne(t, s); err != nil || g.last() != "token-1" {
		t.Fatalf("with a key: %v, %q", err, g.last())
	}
	if info, err := os.Stat(filepath.Join(settings.stateDir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token file is %v (%v)", info, err)
	}

	s, _ = newTestSender(t, settings)
	if err := sendOne(t, s); err != nil || g.last() != "token-1" || g.uses != 1 {
		t.Fatalf("after a restart: %v, %q, %d uses left", err, g.last(), g.uses)
	}
	// The token is revoked. The key has a use left, and no snapshot is lost.
	delete(g.valid, "token-1")
	if err := sendOne(t, s); err != nil {
		t.Fatalf("after being revoked: %v", err)
	}
	if _, err := s.step(t.Context()); err != nil || g.last() != "token-2" {
		t.Fatalf("with the new token: %v, %q", err, g.last())
	}
	// The token is revoked, and the key is used up. The snapshots stay.
	delete(g.valid, "token-2")
	err := sendOne(t, s)
	if waiting, _, _ := s.queue.Size(); !unauthorized(err) || waiting == 0 {
		t.Errorf("the error is %v, and %d snapshots wait", err, waiting)
	}
}

// A token is rotated after a month. If the response is lost, the old token stays valid.
func TestRotation(t *testing.T) {
	t.Parallel()
	g, url := startGate(t, "the key", 1)
	settings := senderSettings{server: url, stateDir: t.TempDir(), key: "the key"}
	s, _ := newTestSender(t, settings)
	if err := sendOne(t, s); err != nil {
		t.Fatal(err)
	}
	makeOld := func() {
		t.Helper()
		old := time.Now().Add(-rotateAfter - time.Hour)
		if err := os.Chtimes(filepath.Join(settings.stateDir, "token"), old, old); err != nil {
			t.Fatal(err)
		}
		s, _ = newTestSender(t, settings)
	}
	g.loses = true
	makeOld()
	if err := sendOne(t, s); err != nil || g.last() != "token-1" {
		t.Fatalf("after the new token was lost: %v, %q", err, g.last())
	}
	g.loses = false
	makeOld()
	if err := sendOne(t, s); err != nil || g.last() != "token-3" || g.valid["token-1"] {
		t.Fatalf("after the rotation: %v, %q", err, g.last())
	}
	s, _ = newTestSender(t, settings)
	if err := sendOne(t, s); err != nil || g.last() != "token-3" {
		t.Fatalf("after a restart: %v, %q", err, g.last())
	}
}

// A sender that the server rejects keeps its snapshots, and stops when its context ends, however long its pause is.
func TestRejectedSenderWaits(t *testing.T) {
	t.Parallel()
	g, url := startGate(t, "", 0)
	s, _ := newTestSender(t, senderSettings{server: url, token: "another machine's"})
	s.queue.Add(entry(1, snapshot.KindFull))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	<-g.rejected
	cancel()
	<-done
	if g.last() != "" {
		t.Error("the server accepted a wrong token")
	}
	if waiting, _, _ := s.queue.Size(); waiting != 1 {
		t.Errorf("%d snapshots wait, want 1", waiting)
	}
}
