package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/snapwatch/snapwatch/auth"
)

// requestTemplate returns a valid request to an operation. It creates what the operation changes or deletes.
type requestTemplate = func(t testing.TB) walkRequest

// requestTemplates creates requests, and the accounts that they need.
type requestTemplates struct {
	*testServer
	created atomic.Int64
}

const walkPassword = "correct horse battery"

func (r *requestTemplates) newUser(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("user%d", r.created.Add(1))
	params := auth.UserParams{Name: name, Password: walkPassword, Role: auth.RoleUser}
	if _, err := r.auth.CreateUser(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	return name
}

// session returns the cookie of a new session.
func (r *requestTemplates) session(t testing.TB, user string) [][2]string {
	t.Helper()
	n := r.created.Add(1) // sign-ins are limited by address
	ctx := auth.WithClient(t.Context(), auth.Client{Address: fmt.Sprintf("172.16.%d.%d", n>>8&255, n&255)})
	result, err := r.auth.Login(ctx, auth.Credentials{Name: user, Password: walkPassword})
	if err != nil {
		t.Fatal(err)
	}
	return [][2]string{{"Cookie", "snapwatch=" + result.Secret}}
}

// sessionID returns the id of a new session of a user.
func (r *requestTemplates) sessionID(t testing.TB, user string) string {
	t.Helper()
	r.session(t, user)
	found, err := r.auth.User(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := r.auth.Sessions(t.Context(), found.ID)
	if err != nil || len(sessions) == 0 {
		t.Fatal(err)
	}
	return fmt.Sprint(sessions[0].ID)
}

func (r *requestTemplates) enrolmentKey(t testing.TB) (secret, id string) {
	t.Helper()
	secret, key, err := r.auth.CreateEnrolmentKey(t.Context(), auth.EnrolmentKeyParams{Name: "key"})
	if err != nil {
		t.Fatal(err)
	}
	return secret, fmt.Sprint(key.ID)
}

func (r *requestTemplates) newToken(t testing.TB, params auth.TokenParams) (secret, id string) {
	t.Helper()
	params.Name = "token"
	secret, token, err := r.auth.CreateToken(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	return secret, fmt.Sprint(token.ID)
}

// body returns a template with a body, in which each %d is replaced by a new number.
func (r *requestTemplates) body(format string) requestTemplate {
	return func(testing.TB) walkRequest {
		return walkRequest{
			path: map[string]string{"machine_id": "m"},
			body: strings.ReplaceAll(format, "%d", fmt.Sprint(r.created.Add(1))),
		}
	}
}

// valid returns a template with query parameters, of the machine m.
func valid(pairs ...string) requestTemplate {
	return func(testing.TB) walkRequest {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Set(pairs[i], pairs[i+1])
		}
		return walkRequest{path: map[string]string{"machine_id": "m"}, query: values}
	}
}

// all returns the templates of all operations.
func (r *requestTemplates) all(t *testing.T) map[string]requestTemplate {
	t.Helper()
	at := recentTime().Add(time.Second).String()
	own := r.session(t, r.newUser(t))
	templates := map[string]requestTemplate{
		"GET /api/v1/audit":          valid("actor", "*", "action", "user.*", "limit", "2"),
		"GET /api/v1/auth/methods":   valid(),
		"GET /api/v1/enrolment-keys": valid(),
		"POST /api/v1/enrolment-keys": r.body(`{"name":"key","tags":["a"],"uses":1,"takes_over":true,` +
			`"expires_at":"2100-01-01T00:00:00Z"}`),
		"GET /api/v1/machines":                                valid("limit", "2"),
		"POST /api/v1/machines":                               r.body(`{"machine_id":"new%d","hostname":"h"}`),
		"GET /api/v1/machines/{machine_id}":                   valid(),
		"PATCH /api/v1/machines/{machine_id}":                 r.body(`{"enabled":true}`),
		"GET /api/v1/machines/{machine_id}/at":                valid("time", at),
		"GET /api/v1/machines/{machine_id}/config":            valid(),
		"GET /api/v1/machines/{machine_id}/diff":              valid("from", at, "to", at),
		"GET /api/v1/machines/{machine_id}/export":            valid("since", "1h"),
		"GET /api/v1/machines/{machine_id}/metrics":           valid("since", "1h"),
		"GET /api/v1/machines/{machine_id}/processes":         valid("since", "1h"),
		"GET /api/v1/machines/{machine_id}/processes/history": valid("since", "1h", "name", "a"),
		"GET /api/v1/machines/{machine_id}/processes/trends":  valid("since", "1h"),
		"GET /api/v1/machines/{machine_id}/snapshots":         valid("since", "1h"),
		"GET /api/v1/processes":                               valid("name", "a", "since", "1h"),
		"GET /api/v1/processes/history":                       valid("name", "a", "since", "1h"),
		"GET /api/v1/processes/nearest":                       valid("name", "a", "since", "1h"),
		"GET /api/v1/processes/top":                           valid("since", "1h"),
		"GET /api/v1/storage":                                 valid(),
		"GET /api/v1/storage/retention":                       valid(),
		"PATCH /api/v1/storage/retention":                     r.body(`{"raw_days":3}`),
		"GET /api/v1/tokens":                                  valid("limit", "2"),
		"POST /api/v1/tokens":                                 r.body(`{"name":"ci","role":"user","tags":["a"]}`),
		"GET /api/v1/trends":                                  valid("machine_id", "m"),
		"GET /api/v1/users":                                   valid(),
		"POST /api/v1/users": r.body(
			`{"name":"new%d","password":"` + walkPassword + `"}`),
		"GET /healthz":          valid(),
		"GET /readyz":           valid(),
		"GET /metrics":          valid(),
		"GET /metrics/machines": valid(),
		"POST /api/v1/snapshots": r.body(`{"machine_id":"m","source":{"run_id":"r","hostname":"h"},"snapshots":[` +
			`{"timestamp":"` + at + `","processes":[{"pid":1,"ppid":0,"name":"a"}],` +
			`"machine_snapshot":{"disks":[{"mount":"/"}],"interfaces":[{"name":"lo"}],` +
			`"temperatures":[{"sensor":"cpu","celsius":40}]}}]}`),
	}
	mine := func(body string) requestTemplate {
		return func(testing.TB) walkRequest { return walkRequest{header: own, body: body} }
	}
	templates["GET /api/v1/me"] = mine("")
	templates["GET /api/v1/me/preferences"] = mine("")
	templates["GET /api/v1/me/sessions"] = mine("")
	templates["POST /api/v1/me/totp"] = mine("")
	templates["PUT /api/v1/me/preferences"] = mine(`{"exclude":["a"],"include":["b"],"columns":["c"]}`)
	r.addAccounts(templates)
	r.addSecrets(templates)
	return templates
}

// addAccounts adds templates of operations on an account that is created for each request.
func (r *requestTemplates) addAccounts(templates map[string]requestTemplate) {
	ofNewUser := func(body string) requestTemplate {
		return func(t testing.TB) walkRequest {
			return walkRequest{path: map[string]string{"name": r.newUser(t)}, body: body}
		}
	}
	templates["DELETE /api/v1/users/{name}"] = ofNewUser("")
	templates["PATCH /api/v1/users/{name}"] = ofNewUser(`{"disabled":false}`)
	templates["GET /api/v1/users/{name}/sessions"] = ofNewUser("")
	templates["DELETE /api/v1/users/{name}/sessions/{session_id}"] = func(t testing.TB) walkRequest {
		name := r.newUser(t)
		return walkRequest{path: map[string]string{"name": name, "session_id": r.sessionID(t, name)}}
	}
	ofNewSession := func(body func() string) requestTemplate {
		return func(t testing.TB) walkRequest {
			return walkRequest{header: r.session(t, r.newUser(t)), body: body()}
		}
	}
	password := func(more string) func() string {
		return func() string { return `{"password":"` + walkPassword + `"` + more + `}` }
	}
	templates["POST /api/v1/auth/logout"] = ofNewSession(func() string { return "" })
	templates["POST /api/v1/me/password"] = ofNewSession(password(`,"new_password":"another horse battery"`))
	templates["POST /api/v1/me/totp/remove"] = ofNewSession(password(""))
	templates["POST /api/v1/me/totp/confirm"] = ofNewSession(func() string {
		const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
		code, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			panic(err)
		}
		return password(`,"secret":"` + secret + `","code":"` + code + `"`)()
	})
	templates["DELETE /api/v1/me/sessions/{session_id}"] = func(t testing.TB) walkRequest {
		name := r.newUser(t)
		id := r.sessionID(t, name)
		return walkRequest{path: map[string]string{"session_id": id}, header: r.session(t, name)}
	}
	templates["POST /api/v1/auth/login"] = func(t testing.TB) walkRequest {
		return walkRequest{anonymous: true, body: `{"name":"` + r.newUser(t) + `","password":"` + walkPassword + `"}`}
	}
	templates["POST /api/v1/auth/setup"] = func(t testing.TB) walkRequest {
		name := fmt.Sprintf("admin%d", r.created.Add(1))
		secret, err := r.auth.CreateSetupSecret(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if secret == "" { // after the first request there is an administrator
			secret, _ = auth.NewSecret(auth.KindSetup)
		}
		return walkRequest{
			anonymous: true,
			body:      `{"secret":"` + secret + `","name":"` + name + `","password":"` + walkPassword + `"}`,
		}
	}
}

// addSecrets adds templates of operations on machines, tokens and keys, and of sign-in through a provider.
func (r *requestTemplates) addSecrets(templates map[string]requestTemplate) {
	templates["DELETE /api/v1/machines/{machine_id}"] = func(t testing.TB) walkRequest {
		id := fmt.Sprintf("deleted%d", r.created.Add(1))
		r.postSnapshots(id, recentTime(), 1)
		return walkRequest{path: map[string]string{"machine_id": id}}
	}
	templates["POST /api/v1/machines/{machine_id}/token"] = func(t testing.TB) walkRequest {
		secret, _ := r.newToken(t, auth.TokenParams{Role: auth.RoleAgent, MachineID: "m"})
		return walkRequest{
			path:   map[string]string{"machine_id": "m"},
			header: [][2]string{{"Authorization", "Bearer " + secret}},
		}
	}
	templates["DELETE /api/v1/tokens/{token_id}"] = func(t testing.TB) walkRequest {
		_, id := r.newToken(t, auth.TokenParams{Role: auth.RoleUser})
		return walkRequest{path: map[string]string{"token_id": id}}
	}
	templates["DELETE /api/v1/enrolment-keys/{key_id}"] = func(t testing.TB) walkRequest {
		_, id := r.enrolmentKey(t)
		return walkRequest{path: map[string]string{"key_id": id}}
	}
	templates["POST /api/v1/enrol"] = func(t testing.TB) walkRequest {
		secret, _ := r.enrolmentKey(t)
		n := r.created.Add(1)
		return walkRequest{anonymous: true, body: fmt.Sprintf(`{"key":"%s","machine_id":"enrolled%d"}`, secret, n)}
	}
	anonymous := func(pairs ...string) requestTemplate {
		return func(t testing.TB) walkRequest {
			request := valid(pairs...)(t)
			request.anonymous = true
			request.header = [][2]string{{"Cookie", "snapwatch-oidc=state.nonce.verifier"}}
			return request
		}
	}
	templates["GET /api/v1/auth/oidc/login"] = anonymous()
	templates["GET /api/v1/auth/oidc/callback"] = anonymous("state", "state", "code", "code")
	templates["GET /api/v1/live"] = func(testing.TB) walkRequest {
		return walkRequest{header: [][2]string{
			{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
			{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
		}}
	}
}

// startProvider starts an identity provider that refuses every code. It returns its URL.
func startProvider(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"jwks_uri":%q}`,
			server.URL, server.URL+"/authorize", server.URL+"/token", server.URL+"/keys")
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant"}`)
	})
	return server.URL
}
