package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/api/apitest"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The two machines of the matrix: a user is granted the first by its tag, and an
// agent's token is bound to it.
const ownMachine, otherMachine = "machine-of-ones-own", "machine-of-somebody-else"

// caller is somebody who asks.
type caller struct {
	name   string
	who    *auth.Principal // what the policy is asked about; nil for a stranger
	secret string
}

// matrix is a server with its callers.
type authMatrix struct {
	*testServer
	callers []caller
}

// newMatrix starts a server by a policy, with one caller of each kind.
func newAuthMatrix(t *testing.T, policy auth.Policy) *authMatrix {
	t.Helper()
	m := &authMatrix{
		testServer: testServerOf(
			t,
			apitest.Start(
				t, storetest.Postgres(t), apitest.Config{Policy: policy, Config: api.Config{MachineMetrics: 10}},
			),
		),
	}
	for i, machineID := range []string{ownMachine, otherMachine} {
		m.fillAs(machineID, snapshottest.NewMachine(uint64(i+1), 5).Series(recentTime(), 3, time.Second, 10).Snapshots)
	}
	m.ensureMachines()
	add := func(name string, n auth.TokenParams) {
		n.Name = name
		secret, _, err := m.auth.CreateToken(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		m.callers = append(
			m.callers,
			caller{name, &auth.Principal{Role: n.Role, MachineID: n.MachineID, Tags: n.Tags, Permissions: n.Permissions}, secret},
		)
	}
	m.callers = []caller{{name: "stranger"}}
	add("admin", auth.TokenParams{Role: auth.RoleAdmin})
	add("user", auth.TokenParams{Role: auth.RoleUser, Tags: []string{"web"}})
	add("user of all", auth.TokenParams{Role: auth.RoleUser, Tags: []string{auth.AllMachines}})
	add("agent", auth.TokenParams{Role: auth.RoleAgent, MachineID: ownMachine})
	for _, scope := range auth.Permissions() {
		add("admin's token for "+string(scope), auth.TokenParams{Role: auth.RoleAdmin, Permissions: []auth.Permission{scope}})
	}
	return m
}

// fillAs posts a series that has names of its own, to be told apart.
func (m *authMatrix) fillAs(machineID string, series []snapshot.Snapshot) {
	m.t.Helper()
	for i := range series {
		for k := range series[i].Processes {
			if p := &series[i].Processes[k]; p.Name != "" {
				p.Name = "runs-on-" + machineID
			}
		}
	}
	if outcome := m.store.Write(m.t.Context(), []*snapshot.Batch{{MachineID: machineID, Snapshots: series}})[0]; outcome.Err != nil {
		m.t.Fatal(outcome.Err)
	}
}

// machines makes the two be there and tagged, whatever a request has done.
func (m *authMatrix) ensureMachines() {
	m.t.Helper()
	for machineID, tags := range map[string][]string{ownMachine: {"web"}, otherMachine: {"db"}} {
		if _, err := m.store.Register(m.t.Context(), &snapshot.Machine{MachineID: machineID, Hostname: "host-of-" + machineID}); err != nil {
			m.t.Fatal(err)
		}
		if err := m.store.Configure(m.t.Context(), machineID, store.ConfigChange{Tags: &tags}); err != nil {
			m.t.Fatal(err)
		}
	}
}

// inBody are the operations whose machine is in the body.
var machineInBody = []string{"POST /api/v1/snapshots", "POST /api/v1/machines"}

// bodies are what is sent where something is.
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

// queries are the parameters without which an operation refuses anybody.
var requestQueries = map[string]string{
	"GET /api/v1/machines/{machine_id}/at":                "time=2026-11-24T00:00:00Z",
	"GET /api/v1/machines/{machine_id}/diff":              "from=2026-11-24T00:00:00Z&to=2026-11-24T01:00:00Z",
	"GET /api/v1/machines/{machine_id}/processes/history": "pid=1",
	"GET /api/v1/trends":                                  "machine_id=x",
	"GET /api/v1/processes":                               "command=x&since=1h",
	"GET /api/v1/processes/history":                       "name=x&since=1h",
}

// ask makes one request of the matrix.
func (m *authMatrix) send(who caller, operation, machineID string) response {
	m.t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	path = strings.NewReplacer("{machine_id}", machineID, "{name}", "nobody", "{session_id}", "999999", "{token_id}", "999999", "{key_id}", "999999").
		Replace(path)
	if query := requestQueries[operation]; query != "" {
		path += "?" + query
	}
	body := requestBodies[operation]
	if slices.Contains(machineInBody, operation) {
		body = fmt.Sprintf(body, machineID)
	}
	credential := ""
	if who.secret != "" {
		credential = "Bearer " + who.secret
	}
	return m.do(method, path, body, "Authorization", credential)
}

// verdict is what an answer says of who asked.
func outcome(a response) string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.text), &p)
	switch {
	case a.status == http.StatusUnauthorized && p.Code == "unauthenticated":
		return "401"
	case a.status == http.StatusForbidden && (p.Code == "forbidden" || p.Code == "other_machine"):
		return "403"
	case a.status == http.StatusNotFound && p.Code == "unknown_machine":
		return "404"
	}
	return "may"
}

// want is what the table says of it.
func expectedOutcome(policy auth.Policy, who caller, operation, machineID string, about bool) string {
	if who.who == nil && !policy.IsPublic(operation) {
		return "401"
	}
	switch scope := policy.Scope(operation, who.who); {
	case scope == auth.ScopeNone:
		return "403"
	case scope == auth.ScopeOwn && machineID == otherMachine && about:
		return "403"
	case scope == auth.ScopeGranted && machineID == otherMachine && about:
		return "404"
	}
	return "may"
}

// differences walks every route, every caller and both machines, and tells where the
// server does not do what the table says.
func (m *authMatrix) differences(table auth.Policy) (list []string) {
	m.t.Helper()
	for _, operation := range m.api.Operations() {
		if _, known := table[operation]; !known {
			list = append(list, operation+" has no rule")
			continue
		}
		about := strings.Contains(operation, "{machine_id}") || slices.Contains(machineInBody, operation)
		for _, who := range m.callers {
			for _, machineID := range []string{ownMachine, otherMachine} {
				if strings.HasPrefix(operation, "DELETE /api/v1/machines") ||
					strings.HasPrefix(operation, "PATCH /api/v1/machines") {
					m.ensureMachines()
				}
				got := m.send(who, operation, machineID)
				if got, want := outcome(got), expectedOutcome(table, who, operation, machineID, about); got != want {
					list = append(
						list,
						fmt.Sprintf("%s by %s to %s: %s, the table says %s", operation, who.name, machineID, got, want),
					)
				}
			}
		}
		m.ensureMachines()
	}
	for _, action := range []string{"subscribe", "unsubscribe"} {
		for _, who := range m.callers {
			list = append(list, m.liveDifferences(table, who, action)...)
		}
	}
	return list
}

// liveDifferences does the same for an action of the live view.
func (m *authMatrix) liveDifferences(table auth.Policy, who caller, action string) (list []string) {
	m.t.Helper()
	if who.who == nil || table.Scope("GET /api/v1/live", who.who) == auth.ScopeNone {
		return nil // the handshake is refused, which the routes have shown
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(
		ctx, strings.Replace(m.url, "http", "ws", 1)+"/api/v1/live",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + who.secret}}},
	)
	if err != nil {
		return []string{fmt.Sprintf("the live view by %s: %v", who.name, err)}
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(-1)
	for _, machineID := range []string{ownMachine, otherMachine} {
		if err := socket.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"action":%q,"machine_id":%q}`, action, machineID)); err != nil {
			m.t.Fatal(err)
		}
		got := "may"
		for {
			_, data, err := socket.Read(ctx)
			if err != nil {
				m.t.Fatal(err)
			}
			var message broadcaster.LiveMessage
			if err := json.Unmarshal(data, &message); err != nil {
				m.t.Fatal(err)
			}
			if message.Type == "snapshot_message" {
				continue
			}
			if message.Type == "error" && message.Message.Code == "unknown_machine" {
				got = "404"
			}
			break
		}
		if want := expectedOutcome(table, who, "LIVE "+action, machineID, true); got != want {
			list = append(
				list,
				fmt.Sprintf("live %s by %s to %s: %s, the table says %s", action, who.name, machineID, got, want),
			)
		}
	}
	return list
}

// The server does what the table says, of every route and every action of the live
// view, for every role, to one's own machine and another.
func TestMatrix(t *testing.T) {
	t.Parallel()
	table := auth.NewPolicy(auth.Rules())
	m := newAuthMatrix(t, table)
	for _, difference := range m.differences(table) {
		t.Error(difference)
	}
	// Every route is described, and every rule is of something that there is.
	var document struct {
		Paths map[string]map[string]struct {
			Security []map[string]any
		}
	}
	text, err := m.api.Document()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{"LIVE subscribe": true, "LIVE unsubscribe": true}
	for path, methods := range document.Paths {
		for method, operation := range methods {
			name := strings.ToUpper(method) + " " + path
			described[name] = true
			if open := len(operation.Security) == 0; open != table.IsPublic(name) {
				t.Errorf("%s is described as open to all: %v", name, open)
			}
		}
	}
	for _, operation := range m.api.Operations() {
		if !described[operation] && !strings.Contains(operation, "/openapi") {
			t.Errorf("%s is served and not described", operation)
		}
		described[operation] = true
	}
	for operation := range table {
		if !described[operation] {
			t.Errorf("%s has a rule and is not served", operation)
		}
	}
}

// Take any rule away, and the matrix tells: the server refuses what no rule allows.
func TestMatrixMissesARule(t *testing.T) {
	t.Parallel()
	table := auth.NewPolicy(auth.Rules())
	// One of each kind: open, about a machine, in the body, of the fleet, of the live view.
	for _, operation := range []string{"POST /api/v1/auth/login", "GET /api/v1/machines/{machine_id}/at", "POST /api/v1/snapshots", "GET /api/v1/processes/top", "GET /metrics", "LIVE subscribe"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			less := maps.Clone(table)
			delete(less, operation)
			m := newAuthMatrix(t, less)
			found := m.differences(table)
			if !slices.ContainsFunc(found, func(d string) bool {
				return strings.Contains(d, operation) ||
					strings.HasPrefix(operation, "LIVE") && strings.HasPrefix(d, "live subscribe")
			}) {
				t.Errorf("the matrix finds nothing: %v", found)
			}
			if missing := m.differences(less); !strings.HasPrefix(operation, "LIVE") &&
				!slices.Contains(missing, operation+" has no rule") {
				t.Errorf("a route without a rule passes: %v", missing)
			}
		})
	}
}

// What is of many machines shows those that the caller sees, and no others.
func TestFleetShowsWhatIsGranted(t *testing.T) {
	t.Parallel()
	table := auth.NewPolicy(auth.Rules())
	m := newAuthMatrix(t, table)
	window := "from=" + recentTime().Add(-time.Minute).String() + "&to=" + recentTime().Add(time.Hour).String()
	for _, path := range []string{
		"/api/v1/machines", "/metrics/machines", "/api/v1/trends?machine_id=" + ownMachine + "&machine_id=" + otherMachine,
		"/api/v1/processes?text=*runs-on*&" + window,
		"/api/v1/processes?command=*&" + window, "/api/v1/processes?command=*&time=" + recentTime().Add(2*time.Second).String(),
		"/api/v1/processes/top?" + window, "/api/v1/processes/top?by=name&" + window,
	} {
		for _, who := range m.callers {
			if who.who == nil || who.who.Role == auth.RoleAgent || who.who.Permissions != nil {
				continue
			}
			got := m.do(http.MethodGet, path, "", "Authorization", "Bearer "+who.secret)
			if got.status != http.StatusOK || !strings.Contains(got.text, ownMachine) {
				t.Errorf("%s by %s: %d %.200s", path, who.name, got.status, got.text)
			}
			if shows := strings.Contains(got.text, otherMachine); shows != who.who.CanReadAllMachines() {
				t.Errorf("%s by %s shows the other machine: %v", path, who.name, shows)
			}
		}
	}
	points := func(who caller, name string) int {
		got := m.do(
			http.MethodGet, "/api/v1/processes/history?name="+name+"&"+window, "", "Authorization",
			"Bearer "+who.secret,
		)
		return len(decode[struct {
			Points []any `json:"points"`
		}](t, got).Points)
	}
	for _, who := range m.callers[1:4] {
		if n := points(who, "runs-on-"+ownMachine); n == 0 {
			t.Errorf("%s does not see the history of a name on their machine", who.name)
		}
		if n := points(who, "runs-on-"+otherMachine); (n > 0) != who.who.CanReadAllMachines() {
			t.Errorf("%s sees %d points of a name on another machine", who.name, n)
		}
	}
}

// A stranger gets 401 from everything but health and log-in, and from what there is not.
func TestStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	for _, operation := range append(s.api.Operations(), "GET /api/v1/nothing", "GET /api", "PUT /api/v1/machines", "GET /metrics/nothing", "TRACE /api/v1/machines") {
		method, path, _ := strings.Cut(operation, " ")
		for _, credential := range []string{"", "Bearer swt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "Bearer nonsense", "Basic YTpi", "Bearer " + strings.Repeat("x", 8000)} {
			got := s.do(method, strings.NewReplacer("{", "", "}", "").Replace(path), "", "Authorization", credential)
			public := strings.HasPrefix(path, "/healthz") || strings.HasPrefix(path, "/readyz") ||
				strings.HasPrefix(path, "/api/v1/auth/") && operation != "POST /api/v1/auth/logout" ||
				path == "/api/v1/enrol"
			switch {
			case public && got.status == http.StatusUnauthorized && got.problem(t).Code == "unauthenticated":
				t.Errorf("%s asks for a credential", operation)
			case !public && got.status != http.StatusUnauthorized:
				t.Errorf("%s with %q: %d %s", operation, credential, got.status, got.text)
			case !public && got.header.Get("WWW-Authenticate") == "":
				t.Errorf("%s: 401 without WWW-Authenticate", operation)
			}
		}
	}
}
