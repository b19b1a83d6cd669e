package api_test

import (
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/api"
)

func testInvalidRequests(t *testing.T, s *testServer) {
	s.postSnapshots("x", recentTime(), 3)
	for _, test := range []struct {
		path, code, field string
		status            int
	}{
		{"/api/v1/machines/nobody", "unknown_machine", "", 404},
		{"/api/v1/machines/nobody/snapshots?since=1h", "unknown_machine", "", 404},
		{"/api/v1/machines/nobody/at?time=2026-11-23T03:12:00Z", "unknown_machine", "", 404},
		{"/api/v1/machines/x/at?time=2020-11-23T03:12:00Z", "no_snapshot", "", 404},
		{"/api/v1/machines/x/at", "invalid_field", "time", 422},
		{"/api/v1/machines/x/at?time=noon", "invalid_field", "time", 422},
		{"/api/v1/machines/x/at?time=0000-01-01T00:00:00Z", "invalid_field", "time", 422},
		{"/api/v1/machines/x/snapshots?since=yesterday", "invalid_field", "since", 422},
		{"/api/v1/machines/x/snapshots?since=999999999w", "invalid_field", "since", 422},
		{"/api/v1/machines/x/snapshots?since=1h&from=2026-11-23T03:12:00Z", "invalid_field", "since", 422},
		{"/api/v1/machines/x/snapshots?to=2026-11-23T03:12:00Z", "invalid_field", "from", 422},
		{
			"/api/v1/machines/x/snapshots?from=2026-11-23T03:12:00Z&to=2026-11-23T03:11:00Z",
			"invalid_field", "from", 422,
		},
		{"/api/v1/machines/x/snapshots?since=1h&limit=0", "invalid_field", "limit", 422},
		{"/api/v1/machines/x/snapshots?since=1h&limit=1000000000", "invalid_field", "limit", 422},
		{"/api/v1/machines/x/snapshots?since=1h&limit=101&include_processes=1", "invalid_field", "limit", 422},
		{"/api/v1/machines/x/snapshots?since=1h&include_processes=perhaps", "invalid_field", "include_processes", 422},
		{"/api/v1/machines/x/snapshots?sinc=1h", "invalid_field", "sinc", 422},
		{"/api/v1/machines/x/snapshots?cursor=xyz", "invalid_field", "cursor", 422},
		{"/api/v1/machines?cursor=eHh4", "invalid_field", "cursor", 422},
		{"/api/v1/machines?limit=many", "invalid_field", "limit", 422},
		{"/api/v1/machines/a%20b", "invalid_field", "machine_id", 422},
		{"/api/v1/nothing", "not_found", "", 404},
	} {
		t.Run(test.path, func(t *testing.T) {
			got := s.get("%s", test.path)
			p := got.problem(t)
			if got.status != test.status || p.Code != test.code || p.Field != test.field || p.Status != test.status {
				t.Errorf("%d %s", got.status, got.text)
			}
			if p.RequestID == "" || p.RequestID != got.header.Get("X-Request-Id") {
				t.Errorf("request id %q in the body, %q in the header", p.RequestID, got.header.Get("X-Request-Id"))
			}
			if contentType := got.header.Get("Content-Type"); contentType != "application/problem+json" {
				t.Errorf("content type %s", contentType)
			}
		})
	}
	got := s.get("/api/v1/machines/x/snapshots?since=3650d&limit=1000")
	if list := decode[page[api.SnapshotView]](t, got).Results; len(list) != 3 {
		t.Errorf("ten years: %s", got.text)
	}
}

func TestHostAndOriginChecks(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{AllowedHosts: []string{"127.0.0.1", "localhost"}})
	for _, test := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"allowed host name", "GET", "/api/v1/machines", []string{"Host", "localhost:1234"}, 200},
		{"host name of an attacker", "GET", "/api/v1/machines", []string{"Host", "evil.example"}, 421},
		{"page of another origin", "DELETE", "/api/v1/machines/m", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"form of another origin", "POST", "/api/v1/snapshots", []string{"Origin", "https://evil.example"}, 403},
		{"page of the same origin", "DELETE", "/api/v1/machines/m", []string{"Sec-Fetch-Site", "same-origin"}, 404},
		{"wrong method", "PUT", "/api/v1/snapshots", nil, 405},
		{"wrong media type", "POST", "/api/v1/machines", []string{"Content-Type", "text/plain"}, 415},
	} {
		body := ""
		if test.method == "POST" {
			body = "{}"
		}
		if got := s.do(test.method, test.path, body, test.header...); got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.text)
		}
	}
	for id, kept := range map[string]bool{"my-id.1": true, `my id"`: false} {
		got := s.do("GET", "/api/v1/machines", "", "X-Request-Id", id).header.Get("X-Request-Id")
		if (got == id) != kept {
			t.Errorf("the request ID %q became %q", id, got)
		}
	}
}

func TestHealthMetricsAndUI(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.postSnapshots("m", recentTime(), 2)
	for _, test := range []struct{ path, want string }{
		{"/healthz", "alive"},
		{"/readyz", `"profile":"postgres"`},
		{"/", "the UI"},
		{"/machines/m", "the UI"},
		{"/metrics", "snapwatch_store_snapshots_total 2"},
		{"/metrics", `snapwatch_http_request_seconds_count{method="POST",route="/api/v1/snapshots",status="201"} 1`},
		{"/api/v1/openapi.json", `"openapi":"3.1.0"`},
	} {
		if got := s.get("%s", test.path); got.status != 200 || !strings.Contains(got.text, test.want) {
			t.Errorf("%s: %d, without %s", test.path, got.status, test.want)
		}
	}
	s.store.Close()
	if got := s.get("/readyz"); got.status != 503 {
		t.Errorf("/readyz without a database: %d", got.status)
	}
	if got := s.get("/healthz"); got.status != 200 {
		t.Errorf("/healthz without a database: %d", got.status)
	}
	got := s.get("/api/v1/machines")
	if p := got.problem(t); got.status != 503 || p.Code != "database_unavailable" || p.RequestID == "" ||
		got.header.Get("Retry-After") == "" || strings.Contains(got.text, "pool") {
		t.Errorf("without a database: %d %s", got.status, got.text)
	}
}
