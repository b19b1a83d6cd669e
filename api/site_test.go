package api_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestBasePath checks that a server with a base path responds below it, and outside only to health checks and
// Prometheus.
func TestBasePath(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{BasePath: "/tools/snapwatch", TrustedProxies: loopback, MachineMetrics: 10})
	removed := []string{"X-Forwarded-Prefix", "/tools/snapwatch"}
	nested := []string{"X-Forwarded-Prefix", "/outer"}
	for _, test := range []struct {
		path   string
		header []string
		status int
		text   string
	}{
		{"/tools/snapwatch", nil, 200, "the UI"},
		{"/tools/snapwatch/", nil, 200, "the UI"},
		{"/tools/snapwatch/machines/x", nil, 200, "the UI"},
		{"/tools/snapwatch/api/v1/me", nil, 200, "the test's"},
		{"/tools/snapwatch/api/v1/openapi.json", nil, 200, `"servers":[{"url":"/tools/snapwatch"}]`},
		{"/tools/snapwatch/api/v1/openapi-3.0.json", nil, 200, `"servers":[{"url":"/tools/snapwatch"}]`},
		{"/tools/snapwatch/api/v1/openapi.yaml", nil, 200, "- url: /tools/snapwatch"},
		{"/tools/snapwatch/api/v1/openapi.json", removed, 200, `"servers":[{"url":"/tools/snapwatch"}]`},
		{"/tools/snapwatch/api/v1/openapi.json", nested, 200, `"servers":[{"url":"/outer/tools/snapwatch"}]`},
		{"/tools/snapwatch/api/v1/nothing", nil, 404, "See /tools/snapwatch/api/v1/openapi.json"},
		{"/tools/snapwatch/api/v1/machines/", nil, 404, "not_found"},
		{"/tools/snapwatch/metrics", nil, 200, "snapwatch_http_request_seconds"},
		{"/tools/snapwatch/healthz", nil, 200, "alive"},
		{"/api/v1/me", removed, 200, "the test's"},
		{"/healthz", nil, 200, "alive"},
		{"/readyz", nil, 200, "ready"},
		{"/metrics", nil, 200, "snapwatch_http_request_seconds"},
		{"/metrics/machines", nil, 200, ""},
		{"/", nil, 404, "outside_base_path"},
		{"/tools", nil, 404, "outside_base_path"},
		{"/tools/snapwatcher", nil, 404, "outside_base_path"},
		{"/api/v1/me", nil, 404, "outside_base_path"},
		{"/api/v1/me", nested, 404, "outside_base_path"},
		{"/healthz/x", nil, 404, "outside_base_path"},
	} {
		got := s.do(http.MethodGet, test.path, "", test.header...)
		if got.status != test.status || !strings.Contains(got.text, test.text) {
			t.Errorf("%s %v: %d %.300s", test.path, test.header, got.status, got.text)
		}
	}
	s.addUser("alice", auth.RoleAdmin)
	login := func(header ...string) response {
		return s.do(http.MethodPost, "/tools/snapwatch/api/v1/auth/login",
			`{"name": "alice", "password": "`+goodPassword+`"}`, append(header, "Authorization", "")...)
	}
	for _, line := range login().header.Values("Set-Cookie") {
		if !strings.Contains(line, "; Path=/tools/snapwatch;") || !strings.HasPrefix(line, "snapwatch") {
			t.Errorf("without TLS: %s", line)
		}
	}
	secure := login("X-Forwarded-Proto", "https")
	for _, line := range secure.header.Values("Set-Cookie") {
		if !strings.Contains(line, "; Path=/tools/snapwatch;") || !strings.Contains(line, "; Secure") ||
			!strings.HasPrefix(line, "__Secure-snapwatch") {
			t.Errorf("behind TLS: %s", line)
		}
	}
	got := s.withCookies(
		http.MethodGet, "/tools/snapwatch/api/v1/me", "", secure.cookies(), "X-Forwarded-Proto", "https")
	if got.status != http.StatusOK {
		t.Errorf("a session below a base path: %d %s", got.status, got.text)
	}
}

// TestForwardedHeaders checks how the headers of a trusted proxy are used, and that those of others are ignored.
func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	hosts := []string{"public.example", "127.0.0.1"}
	trusted := start(t, api.Config{TrustedProxies: loopback, AllowedHosts: hosts})
	untrusted := start(t, api.Config{AllowedHosts: hosts})
	const document, prefixed = "/api/v1/openapi.json", `"servers":[{"url":"/snapwatch"}]`
	for _, test := range []struct {
		name   string
		header []string
		status int    // from a trusted proxy
		text   string // a part of the response, from a trusted proxy
	}{
		{"a host", []string{"X-Forwarded-Host", "public.example"}, 200, ""},
		{"a host with a port", []string{"X-Forwarded-Host", "Public.example:8443"}, 200, ""},
		{"an unknown host", []string{"X-Forwarded-Host", "other.example:8443"}, 421, "unknown_host"},
		{"a host of the client first", []string{"X-Forwarded-Host", "evil.example, public.example"}, 200, ""},
		{"the reverse", []string{"X-Forwarded-Host", "public.example,evil.example"}, 421, "unknown_host"},
		{"no host", []string{"X-Forwarded-Host", "a b"}, 400, `"field":"X-Forwarded-Host"`},
		{"a host with a path", []string{"X-Forwarded-Host", "public.example/x"}, 400, `"field":"X-Forwarded-Host"`},
		{"a list without an end", []string{"X-Forwarded-Host", "public.example,"}, 200, ""},
		{"an unknown scheme", []string{"X-Forwarded-Proto", "gopher"}, 400, `"field":"X-Forwarded-Proto"`},
		{"a prefix", []string{"X-Forwarded-Prefix", "/snapwatch/"}, 200, prefixed},
		{"a prefix of the client", []string{"X-Forwarded-Prefix", "/evil, /snapwatch"}, 200, prefixed},
		{"another host as a prefix", []string{"X-Forwarded-Prefix", "//evil.example"}, 400, "invalid_proxy_header"},
		{"markup as a prefix", []string{"X-Forwarded-Prefix", `/"><script>`}, 400, "invalid_proxy_header"},
		{"Forwarded", []string{"Forwarded", "for=192.0.2.1;host=evil.example;proto=gopher"}, 200, ""},
	} {
		got := trusted.do(http.MethodGet, document, "", test.header...)
		if got.status != test.status || !strings.Contains(got.text, test.text) {
			t.Errorf("%s, from a trusted proxy: %d %.300s", test.name, got.status, got.text)
		}
		got = untrusted.do(http.MethodGet, document, "", test.header...)
		if got.status != http.StatusOK || strings.Contains(got.text, `"servers"`) {
			t.Errorf("%s, from others: %d %.300s", test.name, got.status, got.text)
		}
	}
	// Gin's own redirects would use the header of any sender.
	got := untrusted.do(http.MethodGet, "/api/v1/me/", "", "X-Forwarded-Prefix", "/evil")
	if got.status != http.StatusNotFound || got.header.Get("Location") != "" {
		t.Errorf("a path with a slash: %d %v", got.status, got.header)
	}
	// Health checks address a container by any name.
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/api/v1/me": 421, "/": 421} {
		if got := untrusted.do(http.MethodGet, path, "", "Host", "10.0.0.7:8420"); got.status != status {
			t.Errorf("%s of another host name: %d %s", path, got.status, got.text)
		}
	}
}

// TestOriginBehindProxy checks that a page may use its session if its origin is the address that the proxy passes on,
// with its port.
func TestOriginBehindProxy(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{TrustedProxies: loopback})
	s.addUser("alice", auth.RoleAdmin)
	cookies := s.login("alice", "X-Forwarded-Proto", "https").cookies()
	const page = "https://snapwatch.example:8443"
	for _, test := range []struct {
		name, origin string
		header       []string
		status       int
		code         string
	}{
		{"Host with the port", page, []string{"Host", "snapwatch.example:8443"}, 200, ""},
		{"X-Forwarded-Host with the port", page, []string{"X-Forwarded-Host", "snapwatch.example:8443"}, 200, ""},
		{"X-Forwarded-Host in upper case", page, []string{"X-Forwarded-Host", "Snapwatch.Example:8443"}, 200, ""},
		{"X-Forwarded-Host before Host", page,
			[]string{"Host", "other.example", "X-Forwarded-Host", "snapwatch.example:8443"}, 200, ""},
		{"WebSocket through Traefik", page,
			[]string{"X-Forwarded-Host", "snapwatch.example:8443", "X-Forwarded-Proto", "wss"}, 200, ""},
		{"the default port in Host", "https://snapwatch.example", []string{"Host", "snapwatch.example:443"}, 200, ""},
		{"no port", page, []string{"Host", "snapwatch.example"}, 403, "host_changed"},
		{"another port", page, []string{"Host", "snapwatch.example:8444"}, 403, "host_changed"},
		{"the address of the server", page, []string{"Host", "127.0.0.1:8420"}, 403, "host_changed"},
		{"the address of the server, in an old browser", page,
			[]string{"Host", "127.0.0.1:8420", "Sec-Fetch-Site", ""}, 403, "cross_origin"},
		{"another site", "https://evil.example",
			[]string{"Host", "snapwatch.example:8443", "Sec-Fetch-Site", "cross-site"}, 403, "cross_origin"},
	} {
		header := slices.Concat([]string{"Origin", test.origin, "X-Forwarded-Proto", "https",
			"Sec-Fetch-Site", "same-origin"}, test.header)
		got := s.withCookies(http.MethodPost, "/api/v1/me/totp", "", cookies, header...)
		if got.status != test.status || test.code != "" && got.problem(t).Code != test.code {
			t.Errorf("%s: %d %s", test.name, got.status, got.text)
		}
	}
}
