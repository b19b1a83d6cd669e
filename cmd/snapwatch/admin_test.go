//go:build linux

package main_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// overSocket returns a client for a Unix socket.
func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

func TestAdminListen(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	p := start(t, "serve", dataDir(t), "127.0.0.1:0", "--admin-listen", socket)
	for path, want := range map[string]string{
		"/debug/goroutines": "main.(*server).wait", "/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/metrics": "snapwatch_build_info",
	} {
		response, err := overSocket(socket).Get("http://localhost" + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d, %v, want %q in %.200s", path, response.StatusCode, err, want, text)
		}
		// The public address has none of it, even for an administrator.
		if strings.HasPrefix(path, "/debug") {
			if status, text := fetch(t, p.url+path); strings.Contains(text, "goroutine") {
				t.Errorf("%s on the public address: %d %.200s", path, status, text)
			}
		}
	}
	p.stop(t)
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a stopped server: %v", err)
	}
}

func TestAdminListenIsRefused(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"0.0.0.0:6060": "not a loopback address", ":6060": "not a loopback address",
		"127.0.0.1:6060": "SNAPWATCH_ADMIN_TOKEN", "admin.sock": "absolute path",
	} {
		dir := t.TempDir()
		cmd := exec.CommandContext(
			t.Context(),
			program("snapwatch"),
			"serve",
			"--data-dir",
			dir,
			"--listen",
			"127.0.0.1:0",
			"--admin-listen",
			address,
		)
		cmd.Env = append(os.Environ(), "DATABASE_URL=")
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s, want %q", address, err, out, want)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
			t.Errorf("%s: the data directory has %v, %v", address, files, err)
		}
	}
}

// SIGQUIT writes the stacks of all goroutines to standard error, as in every Go program.
func TestQuitDumpsGoroutines(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	p := start(t, "serve", dir, "127.0.0.1:0")
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("the exit code is %d", code)
	}
	for _, want := range []string{"SIGQUIT: quit", "main.(*server).wait", "broadcaster"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	start(t, "serve", dir, "127.0.0.1:0") // its cleanup stops the cluster
}
