package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func testMachineLifeCycle(t *testing.T, s *testServer) {
	registration := `{"machine_id":"m-1","hostname":"web","os":"linux","cpu_count":4,"total_ram":1024,` +
		`"from_a_newer_agent":{"a":1}}`
	created := s.do(http.MethodPost, "/api/v1/machines", registration)
	if created.status != http.StatusCreated || created.header.Get("ETag") != `"1"` {
		t.Fatalf("%d %s", created.status, created.text)
	}
	if again := s.do(http.MethodPost, "/api/v1/machines", registration); again.status != http.StatusOK {
		t.Errorf("again: %d", again.status)
	}
	for _, test := range []struct{ body, field string }{
		{`{"hostname":"web"}`, "machine_id"},
		{`{"machine_id":"a b"}`, "machine_id"},
		{`{"machine_id":"m","hostname":7}`, "hostname"},
		{`{"machine_id":"m","cpu_count":-1}`, "cpu_count"},
		{`{"machine_id":"m","hostname":"a\u0000b"}`, "hostname"},
	} {
		if got := s.do(http.MethodPost, "/api/v1/machines", test.body); got.status != 422 ||
			got.problem(t).Field != test.field {
			t.Errorf("%s: %d %s", test.body, got.status, got.text)
		}
	}
	m := decode[api.MachineView](t, s.get("/api/v1/machines/m-1"))
	if m.Hostname != "web" || m.LastSnapshot != nil || m.Latest != nil || m.PollingInterval != 5 || !m.Enabled ||
		m.Status != "waiting" {
		t.Errorf("%+v", m)
	}

	for _, test := range []struct {
		name, body, match string
		status            int
		field             string
	}{
		{"unknown field", `{"poling_interval":1}`, "", 422, "poling_interval"},
		{"wrong type", `{"enabled":"no"}`, "", 422, "enabled"},
		{"null is no change", `{"enabled":null}`, "", 422, ""},
		{"too small", `{"polling_interval":0.4}`, "", 422, "polling_interval"},
		{"too large", `{"polling_interval":3601}`, "", 422, "polling_interval"},
		{"empty name", `{"exclude":["kworker*",""]}`, "", 422, "exclude[1]"},
		{"long name", `{"exclude":["` + strings.Repeat("x", 256) + `"]}`, "", 422, "exclude[0]"},
		{"empty change", `{}`, "", 422, ""},
		{"not JSON", `{"enabled"`, "", 400, ""},
		{"other version", `{"enabled":false}`, `"7"`, 412, ""},
		{"invalid version", `{"enabled":false}`, `abc`, 412, ""},
		{"current version", `{"polling_interval":1}`, `"1"`, 200, ""},
		{"previous version", `{"enabled":false}`, `"1"`, 412, ""},
		{"without a version", `{"enabled":false,"exclude":["kworker*"]}`, "", 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var header []string
			if test.match != "" {
				header = []string{"If-Match", test.match}
			}
			got := s.do(http.MethodPatch, "/api/v1/machines/m-1", test.body, header...)
			if got.status != test.status || got.status >= 300 && got.problem(t).Field != test.field {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	got := s.get("/api/v1/machines/m-1")
	if m := decode[api.MachineView](t, got); m.PollingInterval != 1 || m.Enabled ||
		!slices.Equal(m.Exclude, []string{"kworker*"}) || m.ConfigVersion != 3 || got.header.Get("ETag") != `"3"` {
		t.Errorf("%s %s", got.header.Get("ETag"), got.text)
	}
	if got := s.do(http.MethodPatch, "/api/v1/machines/nobody", `{"enabled":true}`); got.status != 404 {
		t.Errorf("PATCH of an unknown machine: %d", got.status)
	}

	s.postSnapshots("m-2", recentTime(), 2)
	list := decode[page[api.MachineView]](t, s.get("/api/v1/machines?limit=1"))
	if len(list.Results) != 1 || list.Results[0].MachineID != "m-2" || list.Results[0].Latest == nil ||
		*list.Results[0].ProcessCount != 20 || list.NextCursor == nil {
		t.Errorf("%+v", list)
	}
	rest := decode[page[api.MachineView]](t, s.get("/api/v1/machines?limit=1&cursor=%s", *list.NextCursor))
	if len(rest.Results) != 1 || rest.Results[0].MachineID != "m-1" || rest.NextCursor != nil {
		t.Errorf("%+v", rest)
	}
	if got := s.do(http.MethodDelete, "/api/v1/machines/m-2", ""); got.status != http.StatusNoContent {
		t.Errorf("DELETE: %d %s", got.status, got.text)
	}
	if got := s.get("/api/v1/machines/m-2/snapshots"); got.status != 404 {
		t.Errorf("history of the deleted machine: %d", got.status)
	}
	if got := s.do(http.MethodDelete, "/api/v1/machines/m-2", ""); got.status != 404 {
		t.Errorf("DELETE again: %d", got.status)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	now, ahead := time.Now(), time.Duration(0)
	s := start(t, api.Config{Now: func() time.Time { return now.Add(ahead) }})
	s.postSnapshots("m", recentTime(), 1)
	for _, test := range []struct {
		patch string
		ahead time.Duration
		want  string
	}{
		{`{"polling_interval":5}`, 10 * time.Second, "up"},
		{`{"polling_interval":5}`, 12 * time.Second, "stale"},
		{`{"polling_interval":3600}`, 59 * time.Second, "up"}, // an agent sends heartbeats in long intervals
		{`{"polling_interval":3600}`, 62 * time.Second, "stale"},
		{`{"polling_interval":5,"enabled":false}`, 59 * time.Second, "up"},
	} {
		ahead = test.ahead
		m := decode[api.MachineView](t, s.do(http.MethodPatch, "/api/v1/machines/m", test.patch))
		if m.Status != test.want {
			t.Errorf("%s, last seen %s ago: %s", test.patch, test.ahead, m.Status)
		}
	}
}

// Machines with the same host name are marked everywhere, also after a change of their settings. Only machines that the
// user can see count.
func TestSharedHostnames(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	machineID, ppid := "twin-1", int32(0)
	for _, machine := range []string{"twin-1", "twin-2", "single", "unnamed-1", "unnamed-2"} {
		hostname, _, _ := strings.Cut(machine, "-")
		hostname = strings.TrimPrefix(hostname, "unnamed")
		body := `{"machine_id":"` + machine + `","hostname":"` + hostname + `"}`
		if got := s.do(http.MethodPost, "/api/v1/machines", body); got.status != http.StatusCreated {
			t.Fatalf("%d %s", got.status, got.text)
		}
	}
	at := storetest.Recent()
	storetest.Write(t, s.store, machineID, snapshot.Snapshot{
		Timestamp: at, Kind: snapshot.KindFull,
		Processes: []snapshot.ProcessSample{{PID: 1, PPID: &ppid, Name: "spin"}},
	})
	tags := s.do(http.MethodPatch, "/api/v1/machines/"+machineID, `{"tags":["own"]}`)
	if !decode[api.MachineView](t, tags).HostnameShared {
		t.Errorf("after a change: %s", tags.text)
	}
	shared := make(map[string]bool)
	for _, machine := range decode[api.MachineList](t, s.get("/api/v1/machines")).Results {
		one := decode[api.MachineView](t, s.get("/api/v1/machines/%s", machine.MachineID))
		if one.HostnameShared != machine.HostnameShared {
			t.Errorf("%s: %v alone, %v in the list", machine.MachineID, one.HostnameShared, machine.HostnameShared)
		}
		shared[machine.MachineID] = machine.HostnameShared
	}
	want := map[string]bool{"twin-1": true, "twin-2": true, "single": false, "unnamed-1": false, "unnamed-2": false}
	if !maps.Equal(shared, want) {
		t.Errorf("list: %v, want %v", shared, want)
	}
	search := "name=spin&time=" + at.String()
	if got := decode[api.ProcessMatches](t, s.get("/api/v1/processes?%s", search)); len(got.Results) != 1 ||
		!got.Results[0].HostnameShared {
		t.Errorf("search: %+v", got)
	}
	search = "name=spin&time=" + at.Add(30*time.Minute).String()
	if got := decode[api.NearestMatches](t, s.get("/api/v1/processes/nearest?%s", search)); got.Before == nil ||
		!got.Before.HostnameShared {
		t.Errorf("nearest: %+v", got)
	}

	token, _, err := s.auth.CreateToken(
		t.Context(), auth.TokenParams{Name: "own", Role: auth.RoleUser, Tags: []string{"own"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	got := s.do(http.MethodGet, "/api/v1/machines/"+machineID, "", "Authorization", "Bearer "+token)
	if decode[api.MachineView](t, got).HostnameShared {
		t.Error("a machine that the user cannot see counts")
	}
}

// TestStatusBeforeTheFirstSnapshot checks that a machine is not up before it has sent a snapshot.
func TestStatusBeforeTheFirstSnapshot(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{MachineMetrics: 10})
	decode[api.MachineView](t, s.do(http.MethodPost, "/api/v1/machines", `{"machine_id":"new","hostname":"new"}`))
	if m := decode[api.MachineView](t, s.get("/api/v1/machines/new")); m.Status != "waiting" || !m.Outdated {
		t.Errorf("before the first snapshot: %s, outdated %t", m.Status, m.Outdated)
	}
	for path, want := range map[string]string{
		"/metrics":          `snapwatch_machines{state="waiting"} 1`,
		"/metrics/machines": `snapwatch_machine_up{hostname="new",machine_id="new"} 0`,
	} {
		if got := s.do(http.MethodGet, path, ""); !strings.Contains(got.text, want+"\n") {
			t.Errorf("%s lacks %s", path, want)
		}
	}
	s.postSnapshots("new", recentTime(), 1)
	if m := decode[api.MachineView](t, s.get("/api/v1/machines/new")); m.Status != "up" {
		t.Errorf("after the first snapshot: %s", m.Status)
	}
}

// TestOldValuesAreNotCurrent checks that the values of an old snapshot are marked, even if the agent still reports.
func TestOldValuesAreNotCurrent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := start(t, api.Config{MachineMetrics: 10, Now: func() time.Time { return now }})
	post := func(machineID string, at time.Time) {
		t.Helper()
		body := fmt.Sprintf(`{"machine_id":%q,"snapshots":[{"timestamp":%q,"machine_snapshot":{"load1":1}}]}`,
			machineID, snapshot.TimeOf(at))
		decode[snapshot.Ack](t, s.do(http.MethodPost, "/api/v1/snapshots", body))
	}
	for machineID, test := range map[string]struct {
		age      time.Duration
		outdated bool
	}{"fresh": {0, false}, "delayed": {4 * time.Minute, false}, "old": {2 * time.Hour, true}} {
		post(machineID, now.Add(-test.age))
		m := decode[api.MachineView](t, s.get("/api/v1/machines/%s", machineID))
		if m.Status != "up" || m.Latest == nil || m.Outdated != test.outdated {
			t.Errorf("%s: %s, outdated %t, want %t", machineID, m.Status, m.Outdated, test.outdated)
		}
		exported := strings.Contains(s.get("/metrics/machines").text,
			fmt.Sprintf("snapwatch_machine_load1{hostname=\"\",machine_id=%q} 1\n", machineID))
		if exported == test.outdated {
			t.Errorf("%s: exported as current: %t", machineID, exported)
		}
	}
	now = now.Add(time.Minute)
	if m := decode[api.MachineView](t, s.get("/api/v1/machines/fresh")); m.Status != "stale" || !m.Outdated {
		t.Errorf("after a minute without a report: %s, outdated %t", m.Status, m.Outdated)
	}
}
