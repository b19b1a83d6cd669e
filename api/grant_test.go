package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
)

// Permissions that a grant needs, besides accounts.
var (
	allPermissions  = auth.Permissions()
	userPermissions = []auth.Permission{auth.ReadMachines, auth.ReadConfig, auth.ReadMetrics}
	// An agent writes snapshots and reads its settings.
	agentPermissions = []auth.Permission{auth.WriteSnapshots, auth.ReadConfig}
	tagPermissions   = append([]auth.Permission{auth.ChangeMachines}, agentPermissions...)
	nothing          []auth.Permission
)

// The lifetimes of grants and of callers.
const (
	forever = iota
	hours
	minutes
	endsNothing // the request gives no rights, so nothing can outlive the caller
)

// grantRequest is a request that gives rights to somebody, or takes them away.
type grantRequest struct {
	name, method, path, body string
	needs                    []auth.Permission
	lifetime                 int
}

// grantRequests returns the requests. %d in a path or body is replaced with a number, so that each can be sent often.
// inMinutes and inHours are times.
func grantRequests(inMinutes, inHours string) []grantRequest {
	const users, tokens, keys = "/api/v1/users", "/api/v1/tokens", "/api/v1/enrolment-keys"
	token := func(name, fields string, needs []auth.Permission, lifetime int) grantRequest {
		return grantRequest{name, http.MethodPost, tokens, `{"name": "x", ` + fields + `}`, needs, lifetime}
	}
	patch := func(name, user, body string, needs []auth.Permission, lifetime int) grantRequest {
		return grantRequest{name, http.MethodPatch, users + "/" + user, body, needs, lifetime}
	}
	until := func(at string) string { return `, "expires_at": "` + at + `"` }
	reader := `"role": "admin", "scopes": ["machines.read"]`
	return []grantRequest{
		token("admin token", `"role": "admin"`, allPermissions, forever),
		token("admin token for hours", `"role": "admin"`+until(inHours), allPermissions, hours),
		token("admin token for minutes", `"role": "admin"`+until(inMinutes), allPermissions, minutes),
		token("restricted admin token", reader, []auth.Permission{auth.ReadMachines}, forever),
		token("restricted admin token for minutes", reader+until(inMinutes),
			[]auth.Permission{auth.ReadMachines}, minutes),
		token("token for accounts", `"role": "admin", "scopes": ["accounts"]`, nothing, forever),
		token("token for the audit log", `"role": "admin", "scopes": ["accounts", "audit.read"]`,
			[]auth.Permission{auth.ReadAudit}, forever),
		token("user token", `"role": "user", "tags": ["web"]`, userPermissions, forever),
		token("restricted user token", `"role": "user", "tags": ["*"], "scopes": ["metrics.read"]`,
			[]auth.Permission{auth.ReadMetrics}, forever),
		token("user token that may do nothing", `"role": "user", "scopes": ["storage.read"]`, nothing, forever),
		token("agent token", `"role": "agent", "machine_id": "m%d"`, agentPermissions, forever),
		token("agent token for minutes", `"role": "agent", "machine_id": "m%d"`+until(inMinutes),
			agentPermissions, minutes),
		token("agent token with tags", `"role": "agent", "machine_id": "m%d", "tags": ["web"]`,
			tagPermissions, forever),
		{"key", http.MethodPost, keys, `{"name": "x"}`, agentPermissions, forever},
		{"key for hours", http.MethodPost, keys, `{"name": "x"` + until(inHours) + `}`, agentPermissions, hours},
		{"key for minutes", http.MethodPost, keys, `{"name": "x"` + until(inMinutes) + `}`, agentPermissions, minutes},
		{"key that takes over", http.MethodPost, keys, `{"name": "x", "takes_over": true}`, agentPermissions, forever},
		{"key with tags", http.MethodPost, keys, `{"name": "x", "tags": ["web"]}`, tagPermissions, forever},
		{"user", http.MethodPost, users, `{"name": "new%d", "password": "` + goodPassword + `"}`,
			userPermissions, forever},
		{"admin", http.MethodPost, users, `{"name": "new%d", "password": "` + goodPassword + `", "role": "admin"}`,
			allPermissions, forever},
		patch("password of a user", "reader", `{"password": "`+goodPassword+`"}`, userPermissions, forever),
		patch("password of an admin", "boss", `{"password": "`+goodPassword+`"}`, allPermissions, forever),
		patch("second factor of a user", "reader", `{"remove_totp": true}`, userPermissions, forever),
		patch("second factor of an admin", "boss", `{"remove_totp": true}`, allPermissions, forever),
		patch("tags of a user", "reader", `{"tags": ["*"]}`, userPermissions, forever),
		patch("promotion", "promoted%d", `{"role": "admin"}`, allPermissions, forever),
		patch("demotion", "demoted%d", `{"role": "user"}`, allPermissions, forever),
		patch("enabling a user", "reader", `{"disabled": false}`, userPermissions, forever),
		patch("enabling an admin", "boss", `{"disabled": false}`, allPermissions, forever),
		patch("disabling and a password", "boss", `{"disabled": true, "password": "`+goodPassword+`"}`,
			allPermissions, forever),
		patch("disabling", "demoted%d", `{"disabled": true}`, nothing, endsNothing),
		{"deletion", http.MethodDelete, users + "/demoted%d", "", nothing, endsNothing},
	}
}

// TestLimitedTokensGrantNoMoreThanTheyHave sends each request that gives rights to somebody with tokens of several
// scopes and lifetimes, and with a session.
func TestLimitedTokensGrantNoMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	s.addUser("owner", auth.RoleAdmin)
	s.addUser("boss", auth.RoleAdmin)
	s.addUser("reader", auth.RoleUser, "web")
	type caller struct {
		name, credential, cookies string
		permissions               []auth.Permission
		lifetime                  int
	}
	var callers []caller
	now := time.Now()
	add := func(name string, lifetime int, permissions []auth.Permission) {
		params := auth.TokenParams{Name: name, Role: auth.RoleAdmin, Permissions: permissions}
		if lifetime == minutes {
			end := now.Add(30 * time.Minute)
			params.ExpiresAt = &end
		}
		secret, _, err := s.auth.CreateToken(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		if permissions == nil {
			permissions = allPermissions
		}
		callers = append(callers, caller{name, "Bearer " + secret, "", permissions, lifetime})
	}
	with := func(list ...auth.Permission) []auth.Permission { return append(list, auth.ManageAccounts) }
	add("accounts", forever, with())
	add("accounts for minutes", minutes, with())
	add("readers", forever, with(auth.ReadMachines))
	add("users", forever, with(userPermissions...))
	add("agents", forever, with(agentPermissions...))
	add("agents for minutes", minutes, with(agentPermissions...))
	add("tagged agents", forever, with(tagPermissions...))
	add("all but audit", forever, slices.DeleteFunc(auth.Permissions(),
		func(p auth.Permission) bool { return p == auth.ReadAudit }))
	add("admin", forever, nil)
	add("admin for minutes", minutes, nil)
	callers = append(callers, caller{"session", "", s.login("owner").cookies(), allPermissions, forever})

	n := 0
	for _, request := range grantRequests(rfc3339(now.Add(10*time.Minute)), rfc3339(now.Add(5*time.Hour))) {
		for _, from := range callers {
			n++
			number := func(text string) string {
				if strings.Contains(text, "%d") {
					return fmt.Sprintf(text, n)
				}
				return text
			}
			s.addUser(fmt.Sprintf("promoted%d", n), auth.RoleUser)
			s.addUser(fmt.Sprintf("demoted%d", n), auth.RoleAdmin)
			outlives := from.lifetime == minutes && request.lifetime < minutes
			allowed := !outlives && !slices.ContainsFunc(request.needs,
				func(p auth.Permission) bool { return !slices.Contains(from.permissions, p) })
			header := []string{
				"Authorization", from.credential, "Cookie", from.cookies, "Sec-Fetch-Site", "same-origin",
			}
			got := s.do(request.method, number(request.path), number(request.body), header...)
			var p struct{ Code, Field string }
			_ = json.Unmarshal([]byte(got.text), &p)
			refused := got.status == http.StatusForbidden && p.Code == "exceeds_own_rights" && p.Field != ""
			if allowed == refused || allowed && got.status >= http.StatusMultipleChoices {
				t.Errorf("%s from %s: %d %s, want allowed: %t", request.name, from.name, got.status, got.text, allowed)
			}
		}
	}
}

func rfc3339(at time.Time) string { return at.UTC().Format(time.RFC3339) }
