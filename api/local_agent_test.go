package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
)

// The listener of the local agent passes the requests of agents only, and these need a token but no client certificate
// and no allowed host name.
func TestLocalAgent(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{AllowedHosts: []string{"snapwatch.test"}, AgentCertificates: true})
	local := httptest.NewServer(api.LocalAgent(s.api))
	defer local.Close()
	key, _, err := s.auth.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "local"})
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := s.auth.CreateToken(t.Context(), auth.TokenParams{Name: "a", Role: auth.RoleAgent, MachineID: "m"})
	if err != nil {
		t.Fatal(err)
	}
	admin, _, err := s.auth.CreateToken(t.Context(), auth.TokenParams{Name: "b", Role: auth.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, path, body, token string
		status                    int
	}{
		{"POST", "/api/v1/enrol", `{"key": "` + key + `", "machine_id": "new"}`, "", http.StatusCreated},
		{"POST", "/api/v1/machines", `{"machine_id": "m", "hostname": "h"}`, secret, http.StatusCreated},
		{"POST", "/api/v1/snapshots", `{"machine_id": "m", "snapshots": []}`, secret, http.StatusOK},
		{"GET", "/api/v1/machines/m/config", "", secret, http.StatusOK},
		{"POST", "/api/v1/machines/m/token", "", secret, http.StatusCreated},
		{"GET", "/healthz", "", "", http.StatusOK},
		{"POST", "/api/v1/machines", `{"machine_id": "m"}`, "", http.StatusUnauthorized},
		{"POST", "/api/v1/machines", `{"machine_id": "other"}`, secret, http.StatusForbidden},
		{"GET", "/api/v1/machines", "", admin, http.StatusNotFound},
		{"GET", "/api/v1/machines/m", "", admin, http.StatusNotFound},
		{"GET", "/api/v1/users", "", admin, http.StatusNotFound},
		{"POST", "/api/v1/users", "{}", admin, http.StatusNotFound},
		{"POST", "/api/v1/auth/login", "{}", "", http.StatusNotFound},
		{"GET", "/api/v1/machines/m/config/../../../users", "", admin, http.StatusNotFound},
		{"DELETE", "/api/v1/machines/m", "", admin, http.StatusNotFound},
		{"GET", "/", "", "", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(
			t.Context(), test.method, local.URL+test.path, strings.NewReader(test.body),
		)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Cookie", s.login("nobody").cookies())
		if test.token != "" {
			request.Header.Set("Authorization", "Bearer "+test.token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s %s with %.4q: %d, want %d",
				test.method, test.path, test.token, response.StatusCode, test.status)
		}
	}
	// Elsewhere, agents need a certificate.
	got := s.do(http.MethodPost, "/api/v1/machines", `{"machine_id": "m"}`, "Authorization", "Bearer "+secret,
		"Host", "snapwatch.test")
	if got.status != http.StatusForbidden || got.problem(t).Code != "certificate_needed" {
		t.Errorf("without the local listener: %d %s", got.status, got.text)
	}
}
