package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestProxyWarnings checks that a proxy that is not configured is logged once an hour for each kind of address.
func TestProxyWarnings(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := &API{cfg: Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::1/128")},
	}}
	a.proxyWarnings = newProxyWarnings(
		slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }, prometheus.NewRegistry(),
	)
	// logged returns the entries for a request to a path.
	logged := func(address, path string, header ...string) string {
		t.Helper()
		log.Reset()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr = address
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		a.warnAboutProxy(r)
		return log.String()
	}
	for _, address := range []string{"127.0.0.1:1", "10.0.0.1:1", "198.51.100.7:1"} {
		if text := logged(address, "/"); text != "" {
			t.Errorf("%s, without headers: %s", address, text)
		}
		text := logged(address, "/", "X-Forwarded-For", "192.0.2.9", "X-Forwarded-Proto", "https")
		ip, _, _ := strings.Cut(address, ":")
		if strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "--trusted-proxies") ||
			!strings.Contains(text, "address="+ip) ||
			!strings.Contains(text, `headers="X-Forwarded-For, X-Forwarded-Proto"`) {
			t.Errorf("%s: %s", address, text)
		}
	}
	now = now.Add(proxyWarningInterval - 1)
	for i := range 300 { // as many addresses take no memory
		if text := logged(fmt.Sprintf("10.0.0.%d:1", i%256), "/", "X-Forwarded-Host", "a"); text != "" {
			t.Errorf("within the interval: %s", text)
		}
	}
	if len(a.proxyWarnings.last) != 3 {
		t.Errorf("%d kinds: %v", len(a.proxyWarnings.last), a.proxyWarnings.last)
	}
	now = now.Add(1)
	if text := logged("[::1]:1", "/", "Forwarded", "for=192.0.2.9"); !strings.Contains(text, "address=::1") {
		t.Errorf("after the interval: %s", text)
	}
	for _, trusted := range []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", "[2001:db8::1]:1"} {
		text := logged(trusted, "/machines", "X-Forwarded-For", "192.0.2.9", "X-Forwarded-Host", "a",
			"X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/snapwatch")
		if text != "" {
			t.Errorf("%s: %s", trusted, text)
		}
	}
	if text := logged("192.0.2.1:1", "/", "Forwarded", "for=192.0.2.9"); !strings.Contains(text, "X-Forwarded-For") {
		t.Errorf("Forwarded alone: %s", text)
	}
	text := logged("192.0.2.1:1", "/snapwatch/", "X-Forwarded-Prefix", "/snapwatch")
	if !strings.Contains(text, "--base-path") {
		t.Errorf("the prefix was not removed: %s", text)
	}
	for scope, want := range map[string]float64{"loopback": 2, "private": 301, "public": 1, "other": 0} {
		if got := testutil.ToFloat64(a.proxyWarnings.ignored.WithLabelValues(scope)); got != want {
			t.Errorf("%g requests of scope %s were counted, want %g", got, scope, want)
		}
	}
}
