//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestUpRunsAnAgentAndEndsIt(t *testing.T) {
	t.Parallel()
	dir := storetest.Dir(t) // empty: the first start makes the private cluster
	p := start(t, "up", dir, "127.0.0.1:0")
	id := firstMachine(t, p.url)
	second := exec.CommandContext(
		t.Context(), program("snapwatch"), "serve", "--data-dir", dir, "--listen", "127.0.0.1:0",
	)
	if out, err := second.CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "another snapwatch is using it") {
		t.Errorf("a second server on the data directory: %v, %s", err, out)
	}
	second = exec.CommandContext(
		t.Context(), program("snapwatch"), "serve", "--data-dir", storetest.Dir(t), "--listen",
		strings.TrimPrefix(p.url, "http://"),
	)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "--listen") {
		t.Errorf("a second server on the address: %v, %s", err, out)
	}
	p.stop(t)
	if strings.Contains(p.log.String(), "level=WARN") || strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("a normal run logged warnings:\n%s", p.log)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "postmaster.pid")); err == nil {
		t.Error("the database still runs")
	}
	p = start(t, "up", dir, "127.0.0.1:0")
	again := firstMachine(t, p.url)
	var machines struct{ Results []json.RawMessage }
	if get(t, p.url+"/api/v1/machines", &machines); again != id || len(machines.Results) != 1 {
		t.Errorf("the machine was %s and is %s now, of %d machines", id, again, len(machines.Results))
	}
	// The agent of a killed server ends too.
	p.kill(t)
	testwait.Until(t, "the end of the agent", func() bool { return !agentRuns(t, dir) })
	start(t, "serve", dir, "127.0.0.1:0") // its cleanup stops the cluster
}

// agentRuns reports whether an agent with a state directory inside dir runs.
func agentRuns(t *testing.T, dir string) bool {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		text, _ := os.ReadFile(line)
		if bytes.Contains(text, []byte("snapwatch-agent")) && bytes.Contains(text, []byte(dir)) {
			return true
		}
	}
	return false
}

// Ctrl-C sends every live view a close frame that lets the browser reconnect.
func TestStopClosesSockets(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", dataDir(t), "127.0.0.1:0")
	ctx, cancel := testwait.Context(t)
	defer cancel()
	socket, _, err := websocket.Dial(
		ctx, strings.Replace(p.url, "http", "ws", 1)+"/api/v1/live", &websocket.DialOptions{HTTPClient: client},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	// A response shows that the server handles the socket; the upgrade alone does not.
	subscribe := []byte(`{"action":"subscribe","machine_id":"nowhere"}`)
	if err := socket.Write(ctx, websocket.MessageText, subscribe); err != nil {
		t.Fatal(err)
	}
	if _, _, err := socket.Read(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, _, err := socket.Read(context.WithoutCancel(ctx)); ended <- err }()
	p.stop(t)
	if status := websocket.CloseStatus(<-ended); status != websocket.StatusGoingAway {
		t.Errorf("the socket ended with %v", status)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"unknown command": {"dance"},
		"bad duration":    {"serve", "--retention", "long"},
		"bad level":       {"serve", "--log-level", "loud"},
		"unreachable": {
			"migrate", "up", "--database-url", "postgres://snapwatch:s3cret@127.0.0.1:1/x",
		},
		"no cluster":  {"database-url", "--data-dir", "/nonexistent"},
		"unconfirmed": {"migrate", "down"},
		"no PostgreSQL": {
			"serve", "--listen", "127.0.0.1:0", "--postgres-bin", "/nonexistent", "--data-dir", storetest.Dir(t),
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program("snapwatch"), arguments...)
			cmd.Env = append(os.Environ(), "DATABASE_URL=")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("the command succeeded: %s", out)
			}
			if strings.Contains(string(out), "s3cret") || strings.Contains(string(out), "panic") {
				t.Errorf("it printed %s", out)
			}
		})
	}
}
