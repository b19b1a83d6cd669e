package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// An agent that runs posts snapshots of this machine, and applies the config in the response.
func TestAgentRecordsAndSends(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/machines" {
			_, _ = io.WriteString(w, `{"machine_id":"m","polling_interval":5,"enabled":true}`)
			return
		}
		const config = `{"polling_interval":7,"enabled":true}`
		_, _ = io.WriteString(w, `{"stored":1,"duplicates":0,"config":`+config+`,"config_version":2}`)
	}))
	defer web.Close()
	cfg := Config{Server: web.URL, StateDir: t.TempDir(), MachineID: "m", Token: "token"}
	a, err := New(ctx, cfg, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }()
	testwait.Until(t, "a snapshot to be sent", func() bool { return a.sender.Stats().Snapshots > 0 })
	cancel()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if got := a.recorder.Config().PollingInterval; got != 7 {
		t.Errorf("the interval is %v s, want that of the response", got)
	}
}

// The last config is in effect from the start, before the server responds.
func TestConfigSurvivesARestart(t *testing.T) {
	cfg := Config{Server: "http://127.0.0.1:1", StateDir: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, want := range []snapshot.Config{
		snapshot.DefaultConfig(),
		{PollingInterval: 7, Exclude: []string{"kworker*"}},
		{PollingInterval: 9, Enabled: true},
		snapshot.DefaultConfig(),
	} {
		a, err := New(t.Context(), cfg, testlog.Logger())
		if err != nil {
			t.Fatal(err)
		}
		if got := a.recorder.Config(); !got.Equal(want) {
			t.Errorf("start %d: %+v, want %+v", i, got, want)
		}
		switch i {
		case 0:
			a.recorder.Configure(snapshot.Config{PollingInterval: 7, Exclude: []string{"kworker*"}})
		case 1:
			a.recorder.Configure(snapshot.Config{PollingInterval: 9, Enabled: true})
		case 2:
			if err := os.WriteFile(filepath.Join(cfg.StateDir, "config"), []byte("{incomplete"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMachineIDIsStable(t *testing.T) {
	state := t.TempDir()
	first, err := loadMachineID(Config{StateDir: state})
	if err != nil || len(first) != 32 {
		t.Fatalf("%q, %v", first, err)
	}
	if second, err := loadMachineID(Config{StateDir: state}); err != nil || second != first {
		t.Errorf("%q, then %q (%v)", first, second, err)
	}
	if system := systemMachineID(); system != "" && first == system {
		t.Error("the id is the confidential one of the system")
	}
	if err := os.WriteFile(filepath.Join(state, "machine-id"), []byte("chosen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if stored, err := loadMachineID(Config{StateDir: state}); err != nil || stored != "chosen" {
		t.Errorf("%q, %v", stored, err)
	}
}

func TestInvalidMachineIDIsRefused(t *testing.T) {
	for _, id := range []string{".", "..", "a b", "a/b", "\xff", strings.Repeat("a", 129)} {
		cfg := Config{Server: "http://127.0.0.1:1", StateDir: t.TempDir(), MachineID: id}
		if _, err := New(t.Context(), cfg, testlog.Logger()); err == nil ||
			!strings.Contains(err.Error(), "machine-id") {
			t.Errorf("%q as a setting: %v", id, err)
		}
		path := filepath.Join(cfg.StateDir, "machine-id")
		if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.MachineID = ""
		if _, err := New(t.Context(), cfg, testlog.Logger()); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q in the state directory: %v", id, err)
		}
	}
}

func TestTwoAgentsWithOneStateDirectory(t *testing.T) {
	cfg := Config{Server: "http://127.0.0.1:1", StateDir: t.TempDir()}
	a, err := New(t.Context(), cfg, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), cfg, testlog.Logger())
	if !errors.Is(err, ErrStateInUse) || !strings.Contains(err.Error(), cfg.StateDir) {
		t.Errorf("a second agent: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	third, err := New(t.Context(), cfg, testlog.Logger())
	if err != nil {
		t.Fatalf("after the first agent has stopped: %v", err)
	}
	third.close()
	for _, bad := range []string{"", "localhost:8420", "ftp://x", "http://"} {
		if _, err := New(t.Context(), Config{Server: bad, StateDir: t.TempDir()}, testlog.Logger()); err == nil {
			t.Errorf("the server %q was accepted", bad)
		}
	}
}

// An agent warns if its connection is not encrypted, except on loopback.
func TestPlainHTTPWarning(t *testing.T) {
	t.Parallel()
	for server, warns := range map[string]bool{
		"http://127.0.0.1:1":     false,
		"http://localhost:1":     false,
		"http://[::1]:1":         false,
		"https://snapwatch.test": false,
		"http://snapwatch.test":  true,
	} {
		var log bytes.Buffer
		cfg := Config{Server: server, StateDir: t.TempDir(), MachineID: "m"}
		a, err := New(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		a.close()
		if strings.Contains(log.String(), "unencrypted") != warns {
			t.Errorf("%s: %s", server, log.String())
		}
	}
}
