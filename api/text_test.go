package api_test

import (
	"net/http"
	"testing"

	"github.com/snapwatch/snapwatch/api"
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
	} {
		response := s.do(test.method, test.path, test.body)
		p := response.problem(t)
		if response.status != http.StatusUnprocessableEntity || p.Field != test.field {
			t.Errorf("%s %s %s: %d %s", test.method, test.path, test.body, response.status, response.text)
		}
	}
}

// Times may have lower-case letters, as RFC 3339 allows.
func TestTimesInRequests(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	for text, want := range map[string]int{
		"2026-11-25t10:00:00z":          http.StatusOK,
		"2026-11-25T10:00:00.5%2B05:30": http.StatusOK,
		"2026-11-25T10:00:60Z":          http.StatusUnprocessableEntity,
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
