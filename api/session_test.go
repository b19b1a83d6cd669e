package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

const goodPassword = "correct horse battery"

// login signs a user in.
func (s *testServer) login(name string, header ...string) response {
	s.t.Helper()
	body := fmt.Sprintf(`{"name": %q, "password": %q}`, name, goodPassword)
	return s.do(http.MethodPost, "/api/v1/auth/login", body, append([]string{"Authorization", ""}, header...)...)
}

// withCookies sends a request with cookies instead of a token.
func (s *testServer) withCookies(method, path, body, cookies string, header ...string) response {
	s.t.Helper()
	return s.do(method, path, body, append([]string{"Authorization", "", "Cookie", cookies}, header...)...)
}

// cookies returns the cookies that a response sets, as a browser would send them.
func (r response) cookies() string {
	var list []string
	for _, line := range r.header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		list = append(list, pair)
	}
	return strings.Join(list, "; ")
}

func (s *testServer) addUser(name string, role auth.Role, tags ...string) {
	s.t.Helper()
	params := auth.UserParams{Name: name, Password: goodPassword, Role: role, Tags: tags}
	if _, err := s.auth.CreateUser(s.t.Context(), params); err != nil {
		s.t.Fatal(err)
	}
}

func TestSessionCookies(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s.addUser("alice", auth.RoleAdmin)
	plain := s.login("alice")
	if plain.status != http.StatusOK || len(plain.header.Values("Set-Cookie")) != 2 {
		t.Fatalf("%d %s %v", plain.status, plain.text, plain.header)
	}
	for _, line := range plain.header.Values("Set-Cookie") {
		if !strings.Contains(line, "; HttpOnly") || !strings.Contains(line, "; SameSite=Strict") ||
			strings.Contains(line, "Secure") || !strings.HasPrefix(line, "snapwatch") {
			t.Errorf("without TLS: %s", line)
		}
	}
	secure := s.login("alice", "X-Forwarded-Proto", "https", "X-Forwarded-For", "198.51.100.7")
	for _, line := range secure.header.Values("Set-Cookie") {
		if !strings.Contains(line, "; Secure") || !strings.Contains(line, "; Path=/;") ||
			strings.Contains(line, "Domain=") || !strings.HasPrefix(line, "__Host-snapwatch") {
			t.Errorf("behind TLS: %s", line)
		}
	}
	if secure.header.Get("Strict-Transport-Security") == "" {
		t.Error("behind TLS: no HSTS")
	}
	// A cookie set without TLS may come from an attacker on the network.
	got := s.withCookies(http.MethodGet, "/api/v1/me", "", plain.cookies(), "X-Forwarded-Proto", "https")
	if got.status != http.StatusUnauthorized {
		t.Errorf("a cookie without prefix behind TLS: %d", got.status)
	}
	got = s.withCookies(http.MethodGet, "/api/v1/me/sessions", "", secure.cookies(), "X-Forwarded-Proto", "https")
	sessions := decode[api.SessionList](t, got).Results
	if len(sessions) != 2 || !sessions[0].Current && !sessions[1].Current {
		t.Fatalf("%+v", sessions)
	}
	for _, one := range sessions {
		if want := map[bool]string{true: "198.51.100.7", false: "127.0.0.1"}[one.Current]; one.Address != want {
			t.Errorf("a session from %s, want %s", one.Address, want)
		}
	}
	// A proxy that does not set X-Real-IP forwards that of the client.
	for address, header := range map[string][]string{
		"127.0.0.1":    {"X-Real-Ip", "198.51.100.8", "X-Forwarded-For", "unknown"},
		"198.51.100.9": {"X-Real-Ip", "198.51.100.8", "X-Forwarded-For", "198.51.100.9"},
	} {
		s.login("alice", header...)
		audit := decode[api.AuditLog](t, s.get("/api/v1/audit?action=login&limit=1")).Results
		if len(audit) != 1 || audit[0].Address != address {
			t.Errorf("with %v: %+v", header, audit)
		}
	}
	out := s.withCookies(http.MethodPost, "/api/v1/auth/logout", "", plain.cookies(), "Sec-Fetch-Site", "same-origin")
	if out.status != http.StatusNoContent || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out: %d %v", out.status, out.header)
	}
	got = s.withCookies(http.MethodGet, "/api/v1/me", "", plain.cookies())
	if got.status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", got.status)
	}
}

// TestUntrustedProxies checks that X-Forwarded-* headers are ignored unless a trusted proxy sends them.
func TestUntrustedProxies(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.addUser("alice", auth.RoleAdmin)
	got := s.login("alice",
		"X-Forwarded-Proto", "https", "X-Forwarded-For", "198.51.100.7", "X-Real-Ip", "198.51.100.8")
	if strings.Contains(got.header.Get("Set-Cookie"), "Secure") || got.header.Get("Strict-Transport-Security") != "" {
		t.Errorf("an untrusted header was used: %v", got.header)
	}
	audit := decode[api.AuditLog](t, s.get("/api/v1/audit?action=login")).Results
	if len(audit) != 1 || audit[0].Address != "127.0.0.1" {
		t.Errorf("%+v", audit)
	}
}

// TestCrossSiteRequests checks that pages of other sites cannot use a session.
func TestCrossSiteRequests(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.addUser("alice", auth.RoleAdmin)
	cookies := s.login("alice").cookies()
	host := strings.TrimPrefix(s.url, "http://")
	handshake := []string{"Upgrade", "websocket", "Connection", "Upgrade"}
	foreignHandshake := append(slices.Clone(handshake), "Origin", "https://evil.example")
	crossSite := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	sameOrigin := []string{"Sec-Fetch-Site", "same-origin", "Origin", s.url}
	for name, test := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"own page reads":              {"GET", "/api/v1/me", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"own page, old browser":       {"GET", "/api/v1/me", nil, 200},
		"own page changes":            {"POST", "/api/v1/me/totp", sameOrigin, 200},
		"own page, Origin only":       {"POST", "/api/v1/me/totp", []string{"Origin", s.url}, 200},
		"no header":                   {"POST", "/api/v1/me/totp", nil, 403},
		"another site changes":        {"POST", "/api/v1/me/totp", crossSite, 403},
		"another site, Origin only":   {"POST", "/api/v1/me/totp", []string{"Origin", "https://evil.example"}, 403},
		"same site, other host":       {"POST", "/api/v1/me/totp", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"another site, opaque origin": {"POST", "/api/v1/me/totp", []string{"Origin", "null"}, 403},
		"another site reads":          {"GET", "/api/v1/me", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"own host, another port":      {"POST", "/api/v1/me/totp", []string{"Origin", "http://127.0.0.1:1"}, 403},
		"WebSocket of another site":   {"GET", "/api/v1/live", foreignHandshake, 403},
		"WebSocket without Origin":    {"GET", "/api/v1/live", handshake, 403},
	} {
		got := s.withCookies(test.method, test.path, "", cookies, append([]string{"Host", host}, test.header...)...)
		if got.status != test.want {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
}

// TestSecurityHeaders checks the headers that restrict browsers, on all kinds of responses.
func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	headers := map[string]string{
		"X-Content-Type-Options":     "nosniff",
		"X-Frame-Options":            "DENY",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
	}
	for _, path := range []string{
		"/", "/healthz", "/api/v1/me", "/api/v1/machines", "/api/v1/nothing", "/metrics", "/machines/x",
	} {
		got := s.do(http.MethodGet, path, "")
		for name, want := range headers {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
		if policy := got.header.Get("Content-Security-Policy"); policy == "" || strings.Contains(policy, "unsafe") ||
			strings.Contains(policy, "*") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if strings.HasPrefix(path, "/api") && got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached", path)
		}
	}
}

// TestRequestRate checks that requests are limited per caller.
func TestRequestRate(t *testing.T) {
	t.Parallel()
	now := time.Now() // a fixed clock, so that no request becomes available during the test
	s := start(t, api.Config{RequestRate: 0.01, Now: func() time.Time { return now }})
	other, _, err := s.auth.CreateToken(t.Context(), auth.TokenParams{Name: "other", Role: auth.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	var last response
	for range 3 {
		last = s.get("/api/v1/me")
	}
	if last.status != http.StatusTooManyRequests || last.header.Get("Retry-After") == "" ||
		last.problem(t).Code != "too_many_requests" {
		t.Errorf("%d %s", last.status, last.text)
	}
	if got := s.do(http.MethodGet, "/api/v1/me", "", "Authorization", "Bearer "+other); got.status != http.StatusOK {
		t.Errorf("another caller: %d", got.status)
	}
	if got := s.do(http.MethodGet, "/healthz", "", "Authorization", ""); got.status != http.StatusOK {
		t.Errorf("health: %d", got.status)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	post := func(path, body string) response { return s.do(http.MethodPost, path, body) }
	created := post("/api/v1/users", `{"name": "bob", "password": "`+goodPassword+`", "tags": ["web"]}`)
	user := decode[api.UserView](t, created)
	if user.Role != auth.RoleUser || user.Tags[0] != "web" || user.LastLogin != nil {
		t.Errorf("%+v", user)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{"POST", "/api/v1/users", `{"name": "BOB", "password": "` + goodPassword + `"}`, 409, ""},
		{"POST", "/api/v1/users", `{"name": "x", "password": "short"}`, 422, "password"},
		{"POST", "/api/v1/users", `{"name": "x y", "password": "` + goodPassword + `"}`, 422, "name"},
		{"POST", "/api/v1/users", `{"name": "x", "password": "` + goodPassword + `", "role": "agent"}`, 422, "role"},
		{"POST", "/api/v1/users", `{"name": "x", "password": "` + goodPassword + `", "tags": ["a b"]}`, 422, "tags"},
		{"PATCH", "/api/v1/users/nobody", `{"disabled": true}`, 404, ""},
		{"PATCH", "/api/v1/users/bob", `{}`, 422, ""},
		{"PATCH", "/api/v1/users/bob", `{"password": "bob"}`, 422, "password"},
		{"POST", "/api/v1/tokens", `{"name":"t","role":"user","expires_at":"2020-01-01T00:00:00Z"}`, 422, "expires_at"},
		{"POST", "/api/v1/tokens", `{"name": "t", "role": "user", "scopes": ["everything"]}`, 422, "scopes[0]"},
		{"POST", "/api/v1/tokens", `{"name": "t", "role": "agent"}`, 422, "machine_id"},
		{"DELETE", "/api/v1/tokens/999", ``, 404, ""},
		{"POST", "/api/v1/enrolment-keys", `{"name": "k", "uses": 0}`, 422, "uses"},
		{"POST", "/api/v1/enrol", `{"key": "none", "machine_id": "m"}`, 401, ""},
		{"PATCH", "/api/v1/machines/m", `{"tags": ["*"]}`, 422, "tags"},
	} {
		got := s.do(test.method, test.path, test.body)
		if got.status != test.status || got.problem(t).Field != test.field {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, got.status, got.text)
		}
	}
	if list := s.get("/api/v1/tokens"); !strings.Contains(list.text, `"scopes":[]`) {
		t.Errorf("tokens without restriction: %s", list.text)
	}
	created = post("/api/v1/tokens", `{"name": "ci", "role": "user", "tags": ["*"], "scopes": ["machines.read"]}`)
	token := decode[api.TokenWithSecretView](t, created)
	if list := s.get("/api/v1/tokens?limit=1"); strings.Contains(list.text, token.Token) ||
		!strings.Contains(list.text, `"next_cursor":"`) {
		t.Errorf("%s", list.text)
	}
	listMachines := func() response {
		return s.do(http.MethodGet, "/api/v1/machines", "", "Authorization", "Bearer "+token.Token)
	}
	if got := listMachines(); got.status != http.StatusOK {
		t.Errorf("a new token: %d", got.status)
	}
	revoked := s.do(http.MethodDelete, fmt.Sprintf("/api/v1/tokens/%d", token.ID), "")
	if revoked.status != http.StatusNoContent {
		t.Errorf("%d %s", revoked.status, revoked.text)
	}
	if got := listMachines(); got.status != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", got.status)
	}
	var key struct{ Key string }
	created = post("/api/v1/enrolment-keys", `{"name": "k", "tags": ["web"], "uses": 1}`)
	if err := json.Unmarshal([]byte(created.text), &key); err != nil {
		t.Fatal(err)
	}
	enrolment := fmt.Sprintf(`{"key": %q, "machine_id": "m", "hostname": "from a newer agent"}`, key.Key)
	agent := decode[api.AgentTokenView](t,
		s.do(http.MethodPost, "/api/v1/enrol", enrolment, "Authorization", ""))
	heartbeat := func() response {
		return s.do(http.MethodPost, "/api/v1/snapshots", `{"machine_id": "m", "snapshots": []}`,
			"Authorization", "Bearer "+agent.Token)
	}
	if got := heartbeat(); got.status != http.StatusOK {
		t.Errorf("an enrolled agent: %d %s", got.status, got.text)
	}
	if machine := decode[api.MachineView](t, s.get("/api/v1/machines/m")); len(machine.Tags) != 1 ||
		machine.Tags[0] != "web" {
		t.Errorf("an enrolled machine has the tags %v", machine.Tags)
	}
	// A deleted machine that registers again has the tags of its token.
	if got := s.do(http.MethodDelete, "/api/v1/machines/m", ""); got.status != http.StatusNoContent {
		t.Fatal(got.text)
	}
	heartbeat()
	if machine := decode[api.MachineView](t, s.get("/api/v1/machines/m")); len(machine.Tags) != 1 ||
		machine.Tags[0] != "web" {
		t.Errorf("a machine that registered again has the tags %v", machine.Tags)
	}
	s.do(http.MethodPatch, "/api/v1/machines/m", `{"tags": ["db"]}`)
	var actions []string
	cursor := ""
	for {
		page := decode[page[api.AuditEntryView]](t, s.get("/api/v1/audit?limit=2%s", cursor))
		for _, e := range page.Results {
			actions = append(actions, e.Actor+" "+e.Action+" "+e.Target)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	want := []string{
		"token the test's machine.changed machine m",
		"token the test's machine.deleted machine m",
		"enrolment key k machine.enrolled machine m",
		"token the test's key.added enrolment key 1",
		"token the test's token.revoked token 2",
		"token the test's token.added token 2",
		"token the test's user.added user bob",
		"shell token.added token 1",
	}
	if !slices.Equal(actions, want) {
		t.Errorf("the audit log has %q", actions)
	}
	changes := s.get("/api/v1/audit?target=machine%%20m&action=machine.changed")
	if !strings.Contains(changes.text, `"tags":["db"]`) {
		t.Errorf("%s", changes.text)
	}
}

// TestAuditSearch searches the audit log by actor, action, target and time.
func TestAuditSearch(t *testing.T) {
	t.Parallel()
	now := time.Now()
	db := storetest.Postgres(t)
	s := startOn(t, db, api.Config{})
	conn := storetest.Connect(t, db.URL)
	record := func(at time.Time, actor, action, target string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), `INSERT INTO audit_log
			(at, actor, action, target, address, request_id) VALUES ($1, $2, $3, $4, '', '')`, at, actor, action, target)
		if err != nil {
			t.Fatal(err)
		}
	}
	record(now.Add(-3*time.Hour), "Alice", "machine.changed", "machine web-1")
	record(now.Add(-2*time.Hour), "bob_1", "machine.deleted", "machine web-10")
	record(now.Add(-time.Hour), "bobby1", "token.added", "token 7")
	hour := func(n int) string {
		return snapshot.TimeOf(now.Add(time.Duration(-n)*time.Hour - 30*time.Minute)).String()
	}
	for query, want := range map[string]string{
		"actor=Alice":                          "machine web-1",
		"actor=alice":                          "",
		"actor=*alice*":                        "machine web-1",
		"actor=bob_*":                          "machine web-10", // _ is no wildcard
		"actor=bob":                            "",
		"action=machine.*":                     "machine web-10,machine web-1",
		"target=machine+web-1":                 "machine web-1",
		"target=*WEB-1*":                       "machine web-10,machine web-1",
		"actor=b*&action=*added&target=token*": "token 7",
		"actor=*b*&from=" + hour(2):            "token 7,machine web-10",
		"target=*e*&to=" + hour(2):             "machine web-1",
		"from=" + hour(2) + "&to=" + hour(1):   "machine web-10",
		"action=machine.*&limit=1":             "machine web-10",
	} {
		list := decode[api.AuditLog](t, s.do(http.MethodGet, "/api/v1/audit?"+query, ""))
		targets := make([]string, len(list.Results))
		for i := range list.Results {
			targets[i] = list.Results[i].Target
		}
		if got := strings.Join(targets, ","); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestPreferences checks that preferences are stored per user.
func TestPreferences(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.addUser("ann", auth.RoleUser, "*")
	s.addUser("ben", auth.RoleUser, "*")
	ann, ben := s.login("ann").cookies(), s.login("ben").cookies()
	const path, preferences = "/api/v1/me/preferences", `{"exclude":["kworker"],"columns":["pid","cpu"]}`
	got := s.withCookies(http.MethodPut, path, preferences, ann, "Sec-Fetch-Site", "same-origin")
	if got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.text)
	}
	for cookie, want := range map[string]string{ann: preferences, ben: "{}"} {
		got := s.withCookies(http.MethodGet, path, "", cookie)
		if got.status != http.StatusOK || strings.TrimSpace(got.text) != want {
			t.Errorf("%d %s, want %s", got.status, got.text, want)
		}
	}
	if got := s.get(path); got.status != http.StatusNotFound {
		t.Errorf("a token has preferences: %d %s", got.status, got.text)
	}
}
