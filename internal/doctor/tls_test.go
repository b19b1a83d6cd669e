package doctor

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/config"
	"github.com/snapwatch/snapwatch/internal/finding"
	"github.com/snapwatch/snapwatch/internal/tlscert"
	"github.com/snapwatch/snapwatch/internal/tlscert/tlscerttest"
)

func TestCertificateFindings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca := tlscerttest.NewCA(t)
	ca.Issue(t, file("cert"), file("key"), "snapwatch.example.org")
	ca.Issue(t, file("other-cert"), file("other-key"), "other.example.org")
	if err := os.Chmod(file("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file("key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("readable-key"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file("readable-key"), 0o644); err != nil {
		t.Fatal(err)
	}
	examine := func(cert, key, listen string, now time.Time, hosts ...string) finding.Finding {
		cfg := Config{Server: config.Server{Listen: listen, AllowedHosts: hosts}, DataDir: dir}
		if cert != "" {
			cfg.TLS = config.TLS{TLSCert: file(cert), TLSKey: file(key)}
		}
		found := cfg.examineTLS(now)
		return found[len(found)-1]
	}
	now := time.Now()
	// The certificate is valid for an hour.
	check(
		t,
		"good",
		examine("cert", "key", "", now, "snapwatch.example.org:443", "[127.0.0.1]"),
		"note",
		"renew it soon",
	)
	check(t, "expired", examine("cert", "key", "", now.Add(2*time.Hour)), "wrong", "renew it")
	check(t, "future", examine("cert", "key", "", now.Add(-time.Hour)), "wrong", "clock")
	check(t, "name", examine("cert", "key", "", now, "www.example.org"), "wrong", "--allowed-hosts")
	check(t, "other key", examine("cert", "other-key", "", now), "wrong", "the key with which")
	check(t, "no file", examine("missing", "key", "", now), "wrong", "correct the path")
	check(t, "readable key", examine("cert", "readable-key", "", now), "wrong", "chmod 600")
	check(t, "plain on loopback", examine("", "", "127.0.0.1:8420", now), "ok", "")
	check(t, "plain", examine("", "", "0.0.0.0:8420", now), "wrong", "--tls-cert")
	check(t, "plain everywhere", examine("", "", ":8420", now), "wrong", "--tls-cert")
	acme := Config{TLS: config.TLS{ACMEDomains: []string{"snapwatch.example.org"}}, DataDir: dir}
	check(t, "no ACME certificate", acme.examineTLS(now)[0], "note", "first request")
	if err := os.Mkdir(file("acme"), 0o700); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(file("cert"))
	if err != nil {
		t.Fatal(err)
	}
	stored := filepath.Join(dir, "acme", "snapwatch.example.org")
	if err := os.WriteFile(stored, append(text, cert...), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "ACME", acme.examineTLS(now)[0], "note", "renew it soon")
	check(t, "expired ACME", acme.examineTLS(now.Add(2 * time.Hour))[0], "wrong", "renew it")
	if err := os.WriteFile(stored, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "damaged ACME", acme.examineTLS(now)[0], "wrong", "remove it")
}

// serverFor returns the findings about a running server, and whether it was found.
func serverFor(t *testing.T, cfg Config) ([]finding.Finding, bool) {
	t.Helper()
	address, client, err := cfg.Client()
	if err != nil {
		t.Fatal(err)
	}
	return checkServer(t.Context(), client, address)
}

func TestServerFindings(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(time.Duration(ahead.Load())).UTC().Format(http.TimeFormat))
		switch r.URL.Path {
		case "/ready/readyz":
			_, _ = w.Write([]byte(`{"status": "degraded", "checks": [
				{"name": "rollups", "ok": false, "reason": "late"}, {"name": "disk", "ok": true}]}`))
		case "/unready/readyz":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(
				[]byte(
					`{"code":"not_ready","detail":"no","errors":[{"field":"notifications","message":"none arrive"}]}`,
				),
			)
		default:
			_, _ = w.Write([]byte(`<html>`))
		}
	}))
	t.Cleanup(server.Close)
	wrong := func(path string) (all []string) {
		found, _ := serverFor(t, Config{ServerURL: server.URL + path})
		for _, f := range found {
			if !f.OK {
				all = append(all, f.What)
				check(t, path, f, "wrong", "")
			}
		}
		return all
	}
	for path, want := range map[string]string{
		"/ready": "check rollups", "/ready/": "check rollups", "/unready": "server check " +
			"notifications", "/other": "server",
	} {
		if got := strings.Join(wrong(path), " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	ahead.Store(int64(time.Minute))
	if got := strings.Join(wrong("/ready"), " "); got != "server clock check rollups" {
		t.Errorf("with a clock that is ahead: %s", got)
	}
	found, running := serverFor(t, Config{Server: config.Server{Listen: "127.0.0.1:1"}})
	check(t, "down", found[0], "wrong", "start the server")
	if running {
		t.Error("nothing listens, and the server runs")
	}
	cfg := Config{ServerURL: "snapwatch.example.org"}
	if _, _, err := cfg.Client(); err == nil {
		t.Error("an address without a scheme is accepted")
	}
}

// The address that is derived from the settings works with a certificate of a private CA for another name.
func TestServerWithOwnCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	tlscerttest.NewCA(t).Issue(t, cert, key, "snapwatch.example.org")
	files, err := tlscert.Load(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/base/readyz" {
			_, _ = w.Write([]byte(`{"status":"ready"}`))
		}
	}))
	server.TLS = files.Config()
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	cfg := Config{
		Server: config.Server{
			Listen:   "0.0.0.0:" + port,
			BasePath: "/base",
		}, TLS: config.TLS{TLSCert: cert, TLSKey: key},
	}
	found, running := serverFor(t, cfg)
	if err := finding.Check(found); err != nil || !running {
		t.Errorf("%+v", found)
	}
	cfg.TLS = config.TLS{}
	cfg.ServerURL = server.URL + "/base"
	found, _ = serverFor(t, cfg)
	check(t, "unknown CA", found[0], "wrong", "--tls-cert")
	cfg.ServerURL = strings.Replace(cfg.ServerURL, "https", "http", 1)
	found, _ = serverFor(t, cfg)
	check(t, "plain HTTP", found[0], "wrong", "--server")
}
