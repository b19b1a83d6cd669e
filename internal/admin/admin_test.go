package admin_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/admin"
)

const token = "a token of the settings, long enough"

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/run/snapwatch/admin.sock":     "/run/snapwatch/admin.sock",
		"unix:/run/snapwatch/../a.sock": "/run/a.sock",
		"127.0.0.1:6060":                "127.0.0.1:6060",
		"127.1.2.3:6060":                "127.1.2.3:6060",
		"[::1]:6060":                    "[::1]:6060",
		"localhost:6060":                "127.0.0.1:6060",
		"/" + strings.Repeat("a", 86):   "/" + strings.Repeat("a", 86),
		"/" + strings.Repeat("a", 87):   "error: use one of at most 87",
		"unix:relative":                 "error: not absolute",
		"relative.sock":                 "error: absolute path of a Unix socket",
		":6060":                         "error: not a loopback address",
		"0.0.0.0:6060":                  "error: not a loopback address",
		"[::]:6060":                     "error: not a loopback address",
		"192.0.2.1:6060":                "error: not a loopback address",
		"localhost.example.com:6060":    "error: not a loopback address",
		"127.0.0.1.nip.io:6060":         "error: not a loopback address",
		"[::ffff:192.0.2.1]:6060":       "error: not a loopback address",
		"127.0.0.1":                     "error: loopback address with a port",
		"http://127.0.0.1:6060":         "error: neither",
	} {
		got, err := admin.ParseAddress(text, token)
		reason, fails := strings.CutPrefix(want, "error: ")
		switch {
		case fails && (err == nil || !strings.Contains(err.Error(), reason)):
			t.Errorf("%s: %v, %v, want an error with %q", text, got, err, reason)
		case !fails && (err != nil || got.String() != want):
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
	if _, err := admin.ParseAddress("127.0.0.1:6060", token[:admin.MinToken-1]); err == nil ||
		!strings.Contains(err.Error(), "SNAPWATCH_ADMIN_TOKEN") {
		t.Errorf("with a short token: %v", err)
	}
	if _, err := admin.ParseAddress("/a.sock", ""); err != nil {
		t.Errorf("a socket needs no token: %v", err)
	}
}

// serve serves an address until the test ends.
func serve(t *testing.T, text, token string) admin.Address {
	t.Helper()
	address, err := admin.ParseAddress(text, token)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := address.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		if address, err = admin.ParseAddress(tcp.String(), token); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "some_metric", Help: "A metric."}))
	server := admin.NewServer(address, token, registry)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return address
}

func fetch(t *testing.T, client *http.Client, path string) (int, string) {
	t.Helper()
	response, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	// A server that was killed has left its socket.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	address := serve(t, path, "")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("the folder has %v, %v", files, err)
	}
	client := admin.NewClient(address, "")
	for path, want := range map[string]string{
		"/":                               "/debug/goroutines",
		"/debug/goroutines":               "dumpGoroutines",
		"/debug/pprof/":                   "heap",
		"/debug/pprof/heap?debug=1":       "heap profile",
		"/debug/pprof/symbol":             "num_symbols",
		"/debug/pprof/trace?seconds=0.01": "go 1.",
		"/metrics":                        "some_metric",
	} {
		if status, text := fetch(t, client, path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.100s, want %q", path, status, text, want)
		}
	}
	// The command line can contain a password.
	if status, text := fetch(t, client, "/debug/pprof/cmdline"); status != http.StatusNotFound {
		t.Errorf("the command line: %d %s", status, text)
	}
	for _, path := range []string{
		"/debug/pprof/profile?seconds=121", "/debug/pprof/trace?seconds=120.1", "/debug/pprof/heap?seconds=1e9",
		"/debug/pprof/profile?seconds=NaN", "/debug/pprof/profile?seconds=-1", "/debug/pprof/profile?seconds=long",
	} {
		if status, text := fetch(t, client, path); status != http.StatusBadRequest ||
			!strings.Contains(text, "at most 120") {
			t.Errorf("%s: %d %.100s", path, status, text)
		}
	}
	if _, err := address.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server on the socket: %v", err)
	}
}

// The longest path that is accepted can be listened on.
func TestLongestSocketPath(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, strings.Repeat("a", 87-len(dir)-1))
	if status, _ := fetch(t, admin.NewClient(serve(t, path, ""), ""), "/"); status != http.StatusOK {
		t.Errorf("a socket with a path of %d bytes: %d", len(path), status)
	}
}

// shortDir creates a folder with a short path.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "a-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestSocketReplacesNoFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := admin.ParseAddress(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := address.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("on a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "text" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

func TestTCPRequiresTheToken(t *testing.T) {
	t.Parallel()
	address := serve(t, "127.0.0.1:0", token)
	for given, want := range map[string]int{
		token: http.StatusOK, "": http.StatusUnauthorized, token + "x": http.StatusUnauthorized,
		token[:admin.MinToken]: http.StatusUnauthorized,
	} {
		for _, path := range []string{"/", "/metrics", "/debug/goroutines", "/debug/pprof/heap"} {
			if status, text := fetch(t, admin.NewClient(address, given), path); status != want {
				t.Errorf("%s with %q: %d %.100s, want %d", path, given, status, text, want)
			}
		}
	}
}
