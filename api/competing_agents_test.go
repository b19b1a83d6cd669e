package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/auth"
	"github.com/snapwatch/snapwatch/snapshot"
)

// Several agents that report as one machine are in the answers to their posts, the machine, its configuration and the
// metrics, until an hour after the last turn.
func TestCompetingAgents(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := start(t, api.Config{MachineMetrics: 10, Now: func() time.Time { return now }})
	decode[api.MachineView](t, s.do(http.MethodPost, "/api/v1/machines", `{"machine_id":"m","hostname":"web-1"}`))
	agent, _, err := s.auth.CreateToken(
		t.Context(), auth.TokenParams{Name: "agent", Role: auth.RoleAgent, MachineID: "m"},
	)
	if err != nil {
		t.Fatal(err)
	}
	heartbeat := func(host string) snapshot.Ack {
		t.Helper()
		now = now.Add(30 * time.Second)
		const format = `{"machine_id":"m","source":{"run_id":"r-%[1]s","boot_id":"b-%[1]s","hostname":%[1]q}}`
		body := fmt.Sprintf(format, host)
		got := s.do(http.MethodPost, "/api/v1/snapshots", body, "Authorization", "Bearer "+agent)
		return decode[snapshot.Ack](t, got)
	}
	check := func(when string, want ...string) {
		t.Helper()
		m := decode[api.MachineView](t, s.get("/api/v1/machines/m"))
		list := decode[api.MachineList](t, s.get("/api/v1/machines")).Results
		for _, view := range []api.MachineView{m, list[0]} {
			var names []string
			if view.CompetingAgents != nil {
				for _, one := range view.CompetingAgents.Agents {
					names = append(names, one.Name)
				}
			}
			if !slices.Equal(names, want) {
				t.Errorf("%s: the machine has %q, want %q", when, names, want)
			}
		}
		config := s.do(http.MethodGet, "/api/v1/machines/m/config", "", "Authorization", "Bearer "+agent)
		if names := decode[api.ConfigView](t, config).CompetingAgents; !slices.Equal(names, want) {
			t.Errorf("%s: the configuration has %q, want %q", when, names, want)
		}
		n := min(len(want), 1)
		for path, metric := range map[string]string{
			"/metrics":          "snapwatch_machines_competing_agents %d\n",
			"/metrics/machines": `snapwatch_machine_competing_agents{hostname="web-1",machine_id="m"} %d` + "\n",
		} {
			if got := s.get("%s", path).text; !strings.Contains(got, fmt.Sprintf(metric, n)) {
				t.Errorf("%s: %s lacks "+metric, when, path, n)
			}
		}
	}
	for _, host := range []string{"web-1", "web-2", "web-1", "web-2"} {
		if ack := heartbeat(host); ack.CompetingAgents != nil {
			t.Errorf("too early: %+v", ack)
		}
	}
	check("after two turns")
	third := now.Add(-30 * time.Second)
	if ack := heartbeat("web-1"); !slices.Equal(ack.CompetingAgents, []string{"web-1", "web-2"}) {
		t.Errorf("after three turns: %+v", ack)
	}
	if ack := heartbeat("web-1"); !slices.Equal(ack.CompetingAgents, []string{"web-1", "web-2"}) {
		t.Errorf("the next post: %+v", ack)
	}
	check("after three turns", "web-1", "web-2")
	m := decode[api.MachineView](t, s.get("/api/v1/machines/m"))
	fifth := now.Add(-30 * time.Second)
	if c := m.CompetingAgents; c.Since != snapshot.TimeOf(third) || c.LastTurn != snapshot.TimeOf(fifth) ||
		c.Agents[1].BootID != "b-web-2" || c.Agents[1].Hostname != "web-2" {
		t.Errorf("%+v, want turns since %s", c, snapshot.TimeOf(third))
	}
	if got := s.get("/metrics").text; !strings.Contains(got, "snapwatch_store_agent_turns_total 3\n") {
		t.Error("the metric of turns is not 3")
	}
	now = now.Add(time.Hour)
	check("an hour later")

	got := s.do(http.MethodPost, "/api/v1/snapshots", `{"machine_id":"m","source":{"run_id":"a b"}}`)
	if p := got.problem(t); got.status != http.StatusUnprocessableEntity || p.Field != "source.run_id" {
		t.Errorf("an invalid id: %d %+v", got.status, p)
	}
}

// A registration says whether the agent sees only its own processes, and how it reads them. A later one can change it,
// and the host name.
func TestChangedDescription(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	for _, test := range []struct {
		fields, hostname string
		own              bool
		reader, reason   string
	}{
		{
			`"hostname":"before","own_processes_only":true,"process_reader":"proc","process_reader_reason":"no BTF"`,
			"before", true, "proc", "no BTF",
		},
		{`"hostname":"after","process_reader":"bpf"`, "after", false, "bpf", ""},
		{`"hostname":"after"`, "after", false, "", ""},
	} {
		decode[api.MachineView](t, s.do(http.MethodPost, "/api/v1/machines", `{"machine_id":"m",`+test.fields+`}`))
		m := decode[api.MachineView](t, s.get("/api/v1/machines/m"))
		if m.Hostname != test.hostname || m.OwnProcessesOnly != test.own ||
			m.ProcessReader != test.reader || m.ProcessReaderReason != test.reason {
			t.Errorf("%s: %+v", test.fields, m)
		}
	}
}
