package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
)

// Text that PostgreSQL cannot store is refused in every place, with the name of the field.
func TestInvalidText(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	for _, test := range []struct{ method, path, body, field string }{
		{http.MethodPost, "/api/v1/auth/login", `{"name": "a\u0000b", "password": "x"}`, "name"},
		{http.MethodPost, "/api/v1/auth/login", "{\"name\": \"a\xffb\", \"password\": \"x\"}", "name"},
		{http.MethodPost, "/api/v1/auth/login", `{"name": "alice", "password": "\u0000"}`, "password"},
		{http.MethodPost, "/api/v1/tokens", `{"name": "ci", "role": "user", "tags": ["a", "\u0000"]}`, "tags[1]"},
		{http.MethodPost, "/api/v1/tokens", "{\"name\": \"ci\", \"tags\": [\"a\", \"\xff\"]}", "tags[1]"},
		{http.MethodPost, "/api/v1/tokens", `{"a\u0000b": "ci"}`, "ab"},
		{http.MethodPost, "/api/v1/auth/login", `{"name": "a\ud800b", "password": "x"}`, "name"},
		{http.MethodPost, "/api/v1/auth/login", `{"name": "alice", "password": "\uDC00\uD800"}`, "password"},
		{http.MethodPost, "/api/v1/machines", `{"machine_id": "m", "newer": {"a": ["\ud800"]}}`, "newer.a[0]"},
		{http.MethodPost, "/api/v1/snapshots", `{"machine_id": "m", "newer": {"a": ["\ud800"]}}`, "newer.a[0]"},
		{http.MethodPost, "/api/v1/snapshots", "{\"machine_id\": \"a\xff\"}", "machine_id"},
		{http.MethodPost, "/api/v1/snapshots", `{"machine_id": "a\u0000"}`, "machine_id"},
		{http.MethodGet, "/api/v1/auth/oidc/callback?code=%00", "", "code"},
		{http.MethodGet, "/api/v1/auth/oidc/callback?state=%ff", "", "state"},
		{http.MethodGet, "/api/v1/live?x=%00", "", "x"},
		{http.MethodGet, "/metrics/machines?x=%ff", "", "x"},
		{http.MethodGet, "/api/v1/audit?actor=%zz", "", "actor"},
		{http.MethodGet, "/api/v1/audit?actor=a;b", "", "actor"},
		{http.MethodGet, "/api/v1/audit?%zz=a", "", "%zz"},
		{http.MethodGet, "/api/v1/machines/a%00b", "", "machine_id"},
		{http.MethodGet, "/api/v1/machines/a%ffb", "", "machine_id"},
		{http.MethodPatch, "/api/v1/machines/m%00", `{"enabled": false}`, "machine_id"},
		{http.MethodGet, "/api/v1/processes?name=a%00b&time=2026-11-23T03:12:00Z", "", "name"},
		{http.MethodGet, "/api/v1/processes?name=%ff&time=2026-11-23T03:12:00Z", "", "name"},
		{http.MethodGet, "/api/v1/audit?actor=%00", "", "actor"},
		{http.MethodGet, "/api/v1/audit?actor=%ff", "", "actor"},
		{http.MethodGet, "/api/v1/tokens?machine_id=%00", "", "machine_id"},
		{http.MethodGet, "/api/v1/tokens?machine_id=%c3%28", "", "machine_id"},
		{http.MethodGet, "/api/v1/audit?%00=1", "", ""},
		{http.MethodGet, "/api/v1/users/%00", "", "name"},
		{http.MethodGet, "/machines/%00", "", "path"},
		{http.MethodGet, "/%ff", "", "path"},
		{http.MethodGet, "/?find=%00", "", "query"},
	} {
		response := s.do(test.method, test.path, test.body)
		p := response.problem(t)
		if response.status != http.StatusUnprocessableEntity || p.Field != test.field {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, response.status, response.text)
		}
	}
}

// Times are what RFC 3339 allows: also lower-case letters and leap seconds, and nothing else.
func TestTimesInRequests(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	for text, want := range map[string]int{
		"2026-11-25t10:00:00z":          http.StatusOK,
		"2026-11-25T10:00:00.5%2B05:30": http.StatusOK,
		"2016-12-31T23:59:60Z":          http.StatusOK,
		"2026-11-25T10:00:00%2B05:60":   http.StatusUnprocessableEntity,
		"2026-11-25T10:00:00,5Z":        http.StatusUnprocessableEntity,
		"2026-11-25T10:00:00%2B24:00":   http.StatusUnprocessableEntity,
		"2026-11-25T9:00:00Z":           http.StatusUnprocessableEntity,
		"noon":                          http.StatusUnprocessableEntity,
	} {
		for field, path := range map[string]string{
			"time": "/api/v1/processes?name=x&time=" + text,
			"from": "/api/v1/processes?name=x&from=" + text,
		} {
			response := s.do(http.MethodGet, path, "")
			if response.status != want || want != http.StatusOK && response.problem(t).Field != field {
				t.Errorf("%s: %d %s, want %d", path, response.status, response.text, want)
			}
		}
	}
}

// A parameter that is not a list is refused if it is repeated: servers and proxies disagree about which one counts.
func TestRepeatedParameters(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.postSnapshots("m", recentTime(), 1)
	for path, field := range map[string]string{
		"/api/v1/machines?limit=1&limit=2":                                    "limit",
		"/api/v1/machines?limit=1&limit=1":                                    "limit",
		"/api/v1/machines?limit=1&l%69mit=2":                                  "limit",
		"/api/v1/audit?actor=a&limit=2&actor=":                                "actor",
		"/api/v1/processes?name=a&name=b&since=1h":                            "name",
		"/api/v1/auth/oidc/callback?state=a&code=b&state=a":                   "state",
		"/api/v1/live?a&a":                                                    "a",
		"/metrics/machines?a=1&a=2":                                           "a",
		"/api/v1/trends?machine_id=m&machine_id=n":                            "",
		"/api/v1/machines/m/snapshots?exclude=a&exclude=b&since=1h":           "",
		"/api/v1/machines/m/at?exclude=a&exclude=b&time=2100-01-01T00:00:00Z": "",
		"/login?a=1&a=2":                                                      "",
	} {
		response := s.get("%s", path)
		if field == "" {
			if response.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, response.status, response.text)
			}
			continue
		}
		if p := response.problem(t); response.status != http.StatusUnprocessableEntity || p.Field != field {
			t.Errorf("%s: %d %s, want 422 of %s", path, response.status, response.text, field)
		}
	}
}

// The machine ids . and .. cannot be part of a path, so no operation accepts them. Those that earlier versions
// accepted can be deleted.
func TestDotsAreNoMachineIDs(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	key, _, err := s.auth.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "key"})
	if err != nil {
		t.Fatal(err)
	}
	for id, isValid := range map[string]bool{
		".": false, "..": false, "...": true, ".a": true, "..a": true, "a.": true,
	} {
		for _, test := range []struct {
			method, path, body string
			status             int
		}{
			{http.MethodPost, "/api/v1/snapshots", `{"machine_id": "%s"}`, http.StatusOK},
			{http.MethodPost, "/api/v1/machines", `{"machine_id": "%s"}`, http.StatusOK},
			{http.MethodPost, "/api/v1/enrol", `{"machine_id": "%s", "key": "` + key + `"}`, http.StatusCreated},
			{
				http.MethodPost, "/api/v1/tokens", `{"name": "a", "role": "agent", "machine_id": "%s"}`,
				http.StatusCreated,
			},
			{http.MethodGet, "/api/v1/machines/%s", "", http.StatusOK},
			{http.MethodGet, "/api/v1/machines/%s/config", "", http.StatusOK},
		} {
			path := strings.ReplaceAll(test.path, "%s", escaped(id))
			response := s.do(test.method, path, strings.ReplaceAll(test.body, "%s", id))
			if isValid && response.status != test.status {
				t.Errorf("%s %s: %d %s", test.path, id, response.status, response.text)
			}
			if !isValid && (response.status != http.StatusUnprocessableEntity ||
				response.problem(t).Field != "machine_id") {
				t.Errorf("%s %s: %d %s, want 422", test.path, id, response.status, response.text)
			}
		}
		want := map[bool]int{true: http.StatusNoContent, false: http.StatusNotFound}[isValid]
		if got := s.do(http.MethodDelete, "/api/v1/machines/"+escaped(id), ""); got.status != want {
			t.Errorf("delete %s: %d %s, want %d", id, got.status, got.text, want)
		}
	}
}
