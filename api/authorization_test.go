package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The two machines of the tests. The user has the tag of the first machine, and the agent's token is bound to it.
const ownMachine, otherMachine = "own-machine", "other-machine"

// caller sends requests with a credential.
type caller struct {
	name      string
	principal *auth.Principal // nil for a caller without a credential
	secret    string
}

// authMatrix is a server with callers of all roles and restrictions.
type authMatrix struct {
	*testServer
	callers []caller
}

// newAuthMatrix starts a server with a policy.
func newAuthMatrix(t *testing.T, policy auth.Policy) *authMatrix {
	t.Helper()
	return newAuthMatrixOn(t, storetest.Postgres(t), apitest.Config{Policy: policy})
}

// newAuthMatrixOn is newAuthMatrix on a database.
func newAuthMatrixOn(t *testing.T, db storetest.Database, cfg apitest.Config) *authMatrix {
	t.Helper()
	cfg.MachineMetrics = 10
	m := &authMatrix{testServer: testServerOf(t, apitest.Start(t, db, cfg))}
	for i, machineID := range []string{ownMachine, otherMachine} {
		m.write(machineID, snapshottest.NewMachine(uint64(i+1), 5).Series(recentTime(), 3, time.Second, 10).Snapshots)
	}
	m.ensureMachines()
	add := func(name string, n auth.TokenParams) {
		n.Name = name
		secret, _, err := m.auth.CreateToken(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		principal := &auth.Principal{Role: n.Role, MachineID: n.MachineID, Tags: n.Tags, Permissions: n.Permissions}
		m.callers = append(m.callers, caller{name, principal, secret})
	}
	m.callers = []caller{{name: "unauthenticated caller"}}
	add("admin", auth.TokenParams{Role: auth.RoleAdmin})
	add("user", auth.TokenParams{Role: auth.RoleUser, Tags: []string{"web"}})
	add("user of all machines", auth.TokenParams{Role: auth.RoleUser, Tags: []string{auth.AllMachines}})
	add("agent", auth.TokenParams{Role: auth.RoleAgent, MachineID: ownMachine})
	for _, scope := range auth.Permissions() {
		add("admin restricted to "+string(scope),
			auth.TokenParams{Role: auth.RoleAdmin, Permissions: []auth.Permission{scope}})
	}
	return m
}

// write stores a series whose process names contain the machine's ID.
func (m *authMatrix) write(machineID string, series []snapshot.Snapshot) {
	m.t.Helper()
	for i := range series {
		for k := range series[i].Processes {
			if p := &series[i].Processes[k]; p.Name != "" {
				p.Name = "runs-on-" + machineID
			}
		}
	}
	batch := &snapshot.Batch{MachineID: machineID, Snapshots: series}
	if err := m.store.Write(m.t.Context(), []*snapshot.Batch{batch})[0].Err; err != nil {
		m.t.Fatal(err)
	}
}

// ensureMachines registers and tags the two machines again, whatever a request has changed.
func (m *authMatrix) ensureMachines() {
	m.t.Helper()
	for machineID, tags := range map[string][]string{ownMachine: {"web"}, otherMachine: {"db"}} {
		machine := &snapshot.Machine{MachineID: machineID, Hostname: "host-of-" + machineID}
		if _, err := m.store.Register(m.t.Context(), machine); err != nil {
			m.t.Fatal(err)
		}
		if err := m.store.Configure(m.t.Context(), machineID, store.ConfigChange{Tags: &tags}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// machineInBody lists the operations that name the machine in the body.
var machineInBody = []string{"POST /api/v1/snapshots", "POST /api/v1/machines"}

// requestBodies are the bodies of operations that have one.
var requestBodies = map[string]string{
	"POST /api/v1/snapshots":              `{"machine_id": %q, "snapshots": []}`,
	"POST /api/v1/machines":               `{"machine_id": %q}`,
	"PATCH /api/v1/machines/{machine_id}": `{"polling_interval": 5}`,
	"PATCH /api/v1/storage/retention":     `{"raw_days": 31}`,
	"POST /api/v1/me/password":            `{"password": "a", "new_password": "b"}`,
	"POST /api/v1/me/totp/confirm":        `{"password": "a", "secret": "AAAAAAAAAAAAAAAA", "code": "000000"}`,
	"POST /api/v1/me/totp/remove":         `{"password": "a"}`,
	"PUT /api/v1/me/preferences":          `{}`,
	"POST /api/v1/users":                  `{"name": "", "password": ""}`,
	"PATCH /api/v1/users/{name}":          `{"disabled": true}`,
	"POST /api/v1/tokens":                 `{"name": "", "role": "user"}`,
	"POST /api/v1/enrolment-keys":         `{"name": ""}`,
	"POST /api/v1/auth/setup":             `{"secret": "none", "name": "a", "password": "b"}`,
	"POST /api/v1/auth/login":             `{"name": "nobody", "password": "nothing"}`,
	"POST /api/v1/enrol":                  `{"key": "none", "machine_id": "nowhere"}`,
}

// requestQueries are the required query parameters of operations.
var requestQueries = map[string]string{
	"GET /api/v1/machines/{machine_id}/at":                "time=2026-11-24T00:00:00Z",
	"GET /api/v1/machines/{machine_id}/diff":              "from=2026-11-24T00:00:00Z&to=2026-11-24T01:00:00Z",
	"GET /api/v1/machines/{machine_id}/processes/history": "pid=1",
	"GET /api/v1/trends":                                  "machine_id=x",
	"GET /api/v1/processes":                               "command=x&since=1h",
	"GET /api/v1/processes/nearest":                       "command=x&since=1h",
	"GET /api/v1/processes/history":                       "name=x&since=1h",
}

var pathReplacer = strings.NewReplacer(
	"{name}", "nobody", "{session_id}", "999999", "{token_id}", "999999", "{key_id}", "999999")

// send sends the request of an operation.
func (m *authMatrix) send(from caller, operation, machineID string) response {
	m.t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	path = pathReplacer.Replace(strings.ReplaceAll(path, "{machine_id}", machineID))
	if query := requestQueries[strings.Replace(operation, "HEAD", "GET", 1)]; query != "" {
		path += "?" + query
	}
	body := requestBodies[operation]
	if slices.Contains(machineInBody, operation) {
		body = fmt.Sprintf(body, machineID)
	}
	credential := ""
	if from.secret != "" {
		credential = "Bearer " + from.secret
	}
	return m.do(method, path, body, "Authorization", credential)
}

// outcome classifies a response: 401, 403, 404 (the machine is not visible), or allowed.
func outcome(r response) string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(r.text), &p)
	switch {
	case r.status == http.StatusUnauthorized && p.Code == "unauthenticated":
		return "401"
	case r.status == http.StatusForbidden && (p.Code == "forbidden" || p.Code == "other_machine"):
		return "403"
	case r.status == http.StatusNotFound && p.Code == "unknown_machine":
		return "404"
	}
	return "allowed"
}

// expectedOutcome returns the outcome that a policy requires. namesMachine says whether the operation concerns one
// machine.
func expectedOutcome(policy auth.Policy, from caller, operation, machineID string, namesMachine bool) string {
	if from.principal == nil && !policy.IsPublic(operation) {
		return "401"
	}
	switch scope := policy.Scope(operation, from.principal); {
	case scope == auth.ScopeNone:
		return "403"
	case scope == auth.ScopeOwn && machineID == otherMachine && namesMachine:
		return "403"
	case scope == auth.ScopeGranted && machineID == otherMachine && namesMachine:
		return "404"
	}
	return "allowed"
}

// differences sends every operation from every caller to both machines, and lists where the server does not do what the
// policy requires.
func (m *authMatrix) differences(policy auth.Policy) (list []string) {
	m.t.Helper()
	for _, operation := range m.api.Operations() {
		list = append(list, m.operationDifferences(policy, operation)...)
	}
	for _, action := range []string{"subscribe", "unsubscribe"} {
		list = append(list, m.actionDifferences(policy, action)...)
	}
	return list
}

// operationDifferences is differences for one operation.
func (m *authMatrix) operationDifferences(policy auth.Policy, operation string) (list []string) {
	m.t.Helper()
	if _, found := policy[operation]; !found {
		return []string{operation + " has no rule"}
	}
	namesMachine := strings.Contains(operation, "{machine_id}") || slices.Contains(machineInBody, operation)
	changesMachine := strings.HasPrefix(operation, "DELETE /api/v1/machines") ||
		strings.HasPrefix(operation, "PATCH /api/v1/machines")
	for _, from := range m.callers {
		for _, machineID := range []string{ownMachine, otherMachine} {
			if changesMachine {
				m.ensureMachines()
			}
			got := outcome(m.send(from, operation, machineID))
			if want := expectedOutcome(policy, from, operation, machineID, namesMachine); got != want {
				list = append(list,
					fmt.Sprintf("%s from %s to %s: %s, want %s", operation, from.name, machineID, got, want))
			}
		}
	}
	m.ensureMachines()
	return list
}

// actionDifferences is differences for an action of the live view.
func (m *authMatrix) actionDifferences(policy auth.Policy, action string) (list []string) {
	m.t.Helper()
	for _, from := range m.callers {
		list = append(list, m.liveDifferences(policy, from, action)...)
	}
	return list
}

// liveDifferences is differences for one caller and one action of the live view.
func (m *authMatrix) liveDifferences(policy auth.Policy, from caller, action string) (list []string) {
	m.t.Helper()
	if from.principal == nil || policy.Scope("GET /api/v1/live", from.principal) == auth.ScopeNone {
		return nil // the handshake is refused, see operationDifferences
	}
	ctx, cancel := testwait.Context(m.t)
	defer cancel()
	url := strings.Replace(m.url, "http", "ws", 1) + "/api/v1/live"
	header := http.Header{"Authorization": {"Bearer " + from.secret}}
	socket, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return []string{fmt.Sprintf("the live view from %s: %v", from.name, err)}
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(-1)
	for _, machineID := range []string{ownMachine, otherMachine} {
		request := fmt.Appendf(nil, `{"action":%q,"machine_id":%q}`, action, machineID)
		if err := socket.Write(ctx, websocket.MessageText, request); err != nil {
			m.t.Fatal(err)
		}
		got := "allowed"
		if message := m.nextReply(ctx, socket); message.Type == "error" && message.Message.Code == "unknown_machine" {
			got = "404"
		}
		if want := expectedOutcome(policy, from, "LIVE "+action, machineID, true); got != want {
			list = append(list,
				fmt.Sprintf("live %s from %s to %s: %s, want %s", action, from.name, machineID, got, want))
		}
	}
	return list
}

// nextReply returns the next message that is not a snapshot.
func (m *authMatrix) nextReply(ctx context.Context, socket *websocket.Conn) broadcaster.LiveMessage {
	m.t.Helper()
	for {
		_, data, err := socket.Read(ctx)
		if err != nil {
			m.t.Fatal(err)
		}
		var message broadcaster.LiveMessage
		if err := json.Unmarshal(data, &message); err != nil {
			m.t.Fatal(err)
		}
		if message.Type != "snapshot_message" {
			return message
		}
	}
}

// TestPolicyIsEnforced checks that the server enforces the policy for every route and every action of the live view,
// for every role, on the caller's own machine and on another one.
func TestPolicyIsEnforced(t *testing.T) {
	t.Parallel()
	policy := auth.NewPolicy(auth.Rules())
	m := newAuthMatrix(t, policy)
	for _, difference := range m.differences(policy) {
		t.Error(difference)
	}
	m.checkDocument(policy)
}

// checkDocument checks that the OpenAPI document describes every route with its security, and that every rule has a
// route.
func (m *authMatrix) checkDocument(policy auth.Policy) {
	m.t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Security []map[string]any
		}
	}
	text, err := m.api.Document()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &document); err != nil {
		m.t.Fatal(err)
	}
	described := map[string]bool{"LIVE subscribe": true, "LIVE unsubscribe": true}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			name := strings.ToUpper(method) + " " + path
			described[name] = true
			if public := len(operation.Security) == 0; public != policy.IsPublic(name) {
				m.t.Errorf("%s is described as public: %v", name, public)
			}
		}
	}
	for _, operation := range m.api.Operations() {
		if !described[operation] && !strings.Contains(operation, "/openapi") {
			m.t.Errorf("%s is served and not described", operation)
		}
		described[operation] = true
	}
	for operation := range policy {
		if !described[operation] {
			m.t.Errorf("%s has a rule and is not served", operation)
		}
	}
}

// TestMissingRuleIsRefused removes rules, and checks that the server refuses the operation and that the test above
// would find it.
func TestMissingRuleIsRefused(t *testing.T) {
	t.Parallel()
	policy := auth.NewPolicy(auth.Rules())
	// One of each kind: public, about a machine in the path, in the body, about all machines, metrics, live view.
	for _, operation := range []string{
		"POST /api/v1/auth/login",
		"GET /api/v1/machines/{machine_id}/at",
		"POST /api/v1/snapshots",
		"GET /api/v1/processes/top",
		"GET /metrics",
		"LIVE subscribe",
	} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			incomplete := maps.Clone(policy)
			delete(incomplete, operation)
			m := newAuthMatrix(t, incomplete)
			if action, isAction := strings.CutPrefix(operation, "LIVE "); isAction {
				if len(m.actionDifferences(policy, action)) == 0 {
					t.Error("no difference was found")
				}
				return
			}
			if len(m.operationDifferences(policy, operation)) == 0 {
				t.Error("no difference was found")
			}
			missing := m.operationDifferences(incomplete, operation)
			if !slices.Contains(missing, operation+" has no rule") {
				t.Errorf("a route without a rule passes: %v", missing)
			}
		})
	}
}

// TestFleetShowsVisibleMachines checks that operations about many machines return only machines that the caller may
// read.
func TestFleetShowsVisibleMachines(t *testing.T) {
	t.Parallel()
	m := newAuthMatrix(t, auth.NewPolicy(auth.Rules()))
	window := "from=" + recentTime().Add(-time.Minute).String() + "&to=" + recentTime().Add(time.Hour).String()
	for _, path := range []string{
		"/api/v1/machines",
		"/metrics/machines",
		"/api/v1/trends?machine_id=" + ownMachine + "&machine_id=" + otherMachine,
		"/api/v1/processes?text=*runs-on*&" + window,
		"/api/v1/processes?command=*&" + window,
		"/api/v1/processes?command=*&time=" + recentTime().Add(2*time.Second).String(),
		"/api/v1/processes/top?" + window,
		"/api/v1/processes/top?by=name&" + window,
	} {
		for _, from := range m.callers {
			p := from.principal
			if p == nil || p.Role == auth.RoleAgent || p.Permissions != nil {
				continue
			}
			got := m.do(http.MethodGet, path, "", "Authorization", "Bearer "+from.secret)
			if got.status != http.StatusOK || !strings.Contains(got.text, ownMachine) {
				t.Errorf("%s from %s: %d %.200s", path, from.name, got.status, got.text)
			}
			if visible := strings.Contains(got.text, otherMachine); visible != p.CanReadAllMachines() {
				t.Errorf("%s from %s shows the other machine: %v", path, from.name, visible)
			}
		}
	}
	points := func(from caller, name string) int {
		path := "/api/v1/processes/history?name=" + name + "&" + window
		got := m.do(http.MethodGet, path, "", "Authorization", "Bearer "+from.secret)
		return len(decode[struct {
			Points []any `json:"points"`
		}](t, got).Points)
	}
	for _, from := range m.callers[1:4] {
		if n := points(from, "runs-on-"+ownMachine); n == 0 {
			t.Errorf("%s does not see the history of a name on their machine", from.name)
		}
		if n := points(from, "runs-on-"+otherMachine); (n > 0) != from.principal.CanReadAllMachines() {
			t.Errorf("%s sees %d points of a name on another machine", from.name, n)
		}
		for _, machineID := range []string{ownMachine, otherMachine} {
			search := "name=runs-on-" + machineID + "&time=" + recentTime().Add(time.Hour).String()
			got := m.do(http.MethodGet, "/api/v1/processes/nearest?"+search, "", "Authorization", "Bearer "+from.secret)
			visible := machineID == ownMachine || from.principal.CanReadAllMachines()
			if found := decode[api.NearestMatches](t, got).Before != nil; found != visible {
				t.Errorf("%s finds a process that ran on %s: %t", from.name, machineID, found)
			}
		}
	}
}

// TestUnauthenticatedRequests checks that a caller without a valid credential gets 401 for everything but health and
// sign-in, and for paths that do not exist.
func TestUnauthenticatedRequests(t *testing.T) {
	t.Parallel()
	// Each look at the clock is a second later, so that the limit of invalid credentials is never reached.
	var ticks atomic.Int64
	now := time.Now()
	s := start(t, api.Config{Now: func() time.Time { return now.Add(time.Duration(ticks.Add(1)) * time.Second) }})
	braces := strings.NewReplacer("{", "", "}", "")
	operations := append(s.api.Operations(), "GET /api/v1/nothing", "GET /api", "PUT /api/v1/machines",
		"GET /metrics/nothing", "TRACE /api/v1/machines")
	for _, operation := range operations {
		method, path, _ := strings.Cut(operation, " ")
		public := strings.HasPrefix(path, "/healthz") || strings.HasPrefix(path, "/readyz") ||
			strings.HasPrefix(path, "/api/v1/auth/") && operation != "POST /api/v1/auth/logout" ||
			path == "/api/v1/enrol"
		for _, credential := range []string{
			"",
			"Bearer swt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			"Bearer nonsense",
			"Basic YTpi",
			"Bearer " + strings.Repeat("x", 8000),
		} {
			got := s.do(method, braces.Replace(path), "", "Authorization", credential)
			switch {
			case public && got.status == http.StatusUnauthorized && got.problem(t).Code == "unauthenticated":
				t.Errorf("%s requires a credential", operation)
			case !public && got.status != http.StatusUnauthorized:
				t.Errorf("%s with %q: %d %s", operation, credential, got.status, got.text)
			case !public && got.header.Get("WWW-Authenticate") == "":
				t.Errorf("%s: 401 without WWW-Authenticate", operation)
			}
		}
	}
}
