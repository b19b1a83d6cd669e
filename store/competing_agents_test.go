package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Several agents with a copied state directory report as one machine in turns. That is shown with each answer and on
// the machine until an hour after the last turn. One agent after another is normal.
func TestCompetingAgents(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, testCompetingAgents)
}

// agentSource returns the source of an agent: a, a2 and so on are runs on host a.
func agentSource(name string) snapshot.Source {
	if name == "" {
		return snapshot.Source{}
	}
	return snapshot.Source{RunID: name, BootID: "boot-" + name[:1], Hostname: "host-" + name[:1]}
}

func testCompetingAgents(t *testing.T, db storetest.Database) {
	now := time.Now()
	s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	post := func(machineID string, source snapshot.Source) []string {
		t.Helper()
		result := s.Write(context.Background(), []*snapshot.Batch{{MachineID: machineID, Source: source}})[0]
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		return result.Ack.CompetingAgents
	}
	machine := func(machineID string) *query.Machine {
		t.Helper()
		m, err := s.Machine(t.Context(), machineID)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	tests := []struct {
		name  string
		posts string // one agent every 30 s; - is a pause of an hour
		want  string // the agents after the last post
	}{
		{"one agent", "a a a a", ""},
		{"reboots and restarts", "a a a2 a3 b b2 b2 c", ""},
		{"a late post of a stopped agent", "a a a2 a a2 a2 a2", ""},
		{"posts without a source between", "a . a . a . a .", ""},
		{"two hosts, too few turns", "a b a b", ""},
		{"two hosts", "a b a b a", "host-a host-b"},
		{"two hosts, several posts each", "a a b b b a a b b a", "host-a host-b"},
		{"three hosts", "a b c a b c", "host-a host-b host-c"},
		{"two agents on one host", "a a2 a a2 a", "host-a (boot boot-a) (run a) host-a (boot boot-a) (run a2)"},
		{"an agent that restarts all the time", "a b a b2 a b3 a", "host-a host-b (boot boot-b) (run b2) " +
			"host-b (boot boot-b) (run b3)"},
		{"a backup that is restored from time to time", "a b - a - b - a - b", ""},
		{"the copy was removed", "a b a b a - a - a", ""},
	}
	for i, test := range tests {
		machineID := fmt.Sprintf("m-%d", i)
		var answer []string
		for name := range strings.FieldsSeq(test.posts) {
			now = now.Add(30 * time.Second)
			switch name {
			case "-":
				now = now.Add(time.Hour)
			case ".":
				post(machineID, snapshot.Source{})
			default:
				answer = post(machineID, agentSource(name))
			}
		}
		if got := strings.Join(answer, " "); got != test.want {
			t.Errorf("%s: the answer has %q, want %q", test.name, got, test.want)
		}
		m := machine(machineID)
		if got := strings.Join(m.CompetingAgents.Names(), " "); got != test.want {
			t.Errorf("%s: the machine has %q, want %q", test.name, got, test.want)
		}
		if states, err := s.States(t.Context()); err != nil || states.Competing > 0 != (test.want != "") {
			t.Errorf("%s: %+v, %v", test.name, states, err)
		}
		now = now.Add(2 * time.Hour) // until the state of this machine has expired
	}

	// The host name of a running agent changes, back and forth.
	for i := range 10 {
		now = now.Add(30 * time.Second)
		renamed := snapshot.Source{RunID: "r", BootID: "b", Hostname: fmt.Sprint("name-", i%2)}
		if got := post("renamed", renamed); got != nil {
			t.Fatalf("after %d changes of the host name: %q", i, got)
		}
	}

	// The list has the times, and only the machines that have several agents.
	began := now
	for i := range 6 {
		now = now.Add(30 * time.Second)
		post("copied", agentSource([]string{"a", "b"}[i%2]))
	}
	machines, _, err := s.Machines(t.Context(), query.MachinePage{View: query.AllMachines(), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		if (m.CompetingAgents != nil) != (m.MachineID == "copied") {
			t.Errorf("%s: %+v", m.MachineID, m.CompetingAgents)
		}
	}
	at := func(n int) snapshot.Time { return snapshot.TimeOf(began.Add(time.Duration(n) * 30 * time.Second)) }
	want := []query.CompetingAgent{
		{Source: agentSource("a"), FirstSeen: at(1), LastSeen: at(5)},
		{Source: agentSource("b"), FirstSeen: at(2), LastSeen: at(6)},
	}
	got := machine("copied").CompetingAgents
	if got.Since != at(3) || got.LastTurn != at(6) || !slices.Equal(got.Agents, want) {
		t.Errorf("%+v, want turns from %s to %s of %+v", got, at(3), at(6), want)
	}

	// The agents of a machine are bounded, and are deleted with it.
	for i := range 40 {
		now = now.Add(time.Second)
		post("copied", snapshot.Source{RunID: fmt.Sprint("start-", i)})
	}
	stored := func() (n int) {
		t.Helper()
		err := storetest.Connect(t, db.URL).QueryRow(t.Context(), `SELECT count(*) FROM machine_sources s
			JOIN machines m ON m.id = s.machine WHERE m.machine_id = 'copied'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := stored(); n != 16 {
		t.Errorf("%d agents of the machine are stored, want 16", n)
	}
	if err := s.Delete(t.Context(), "copied"); err != nil {
		t.Fatal(err)
	}
	if n := stored(); n != 0 {
		t.Errorf("%d agents of the deleted machine are stored", n)
	}
}

// With a long polling interval, the turns of a series are further apart. The agents are then still noticed.
func TestCompetingAgentsAtLongIntervals(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, testCompetingAgentsAtLongIntervals)
}

func testCompetingAgentsAtLongIntervals(t *testing.T, db storetest.Database) {
	now := time.Now()
	s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	for _, test := range []struct {
		interval, between time.Duration // the polling interval, and the time between two posts
		want              bool
		expires           time.Duration // after the last turn
	}{
		{5 * time.Second, 9 * time.Minute, true, time.Hour},
		{5 * time.Second, 11 * time.Minute, false, 0},
		{15 * time.Minute, 15 * time.Minute, true, time.Hour},
		{15 * time.Minute, 46 * time.Minute, false, 0},
		{30 * time.Minute, 45 * time.Minute, true, 90 * time.Minute},
		{time.Hour, time.Hour, true, 3 * time.Hour},
		{time.Hour, 181 * time.Minute, false, 0},
	} {
		id := fmt.Sprintf("interval-%s-%s", test.interval, test.between)
		storetest.Write(t, s, id)
		change := store.ConfigChange{PollingInterval: new(test.interval.Seconds())}
		if err := s.Configure(t.Context(), id, change); err != nil {
			t.Fatal(err)
		}
		check := func(when string, want bool) {
			t.Helper()
			m, err := s.Machine(t.Context(), id)
			if err != nil || (m.CompetingAgents != nil) != want {
				t.Errorf("%s, %s: the machine has %v, want agents: %t (%v)", id, when, m.CompetingAgents, want, err)
			}
			if states, err := s.States(t.Context()); err != nil || states.Competing > 0 != want {
				t.Errorf("%s, %s: %+v (%v)", id, when, states, err)
			}
		}
		var answer []string
		for i := range 6 {
			now = now.Add(test.between)
			batch := &snapshot.Batch{MachineID: id, Source: agentSource([]string{"a", "b"}[i%2])}
			result := s.Write(t.Context(), []*snapshot.Batch{batch})[0]
			if result.Err != nil {
				t.Fatal(result.Err)
			}
			answer = result.Ack.CompetingAgents
		}
		if (answer != nil) != test.want {
			t.Errorf("%s: the answer has %q", id, answer)
		}
		check("after the last turn", test.want)
		now = now.Add(test.expires - time.Second)
		check("before it expires", test.want)
		now = now.Add(2 * time.Second)
		check("after it has expired", false)
	}
}

// Posts of one group, and posts that are refused, are turns too: the changes of one agent do not fit the snapshots of
// the other.
func TestCompetingAgentsOfRefusedPosts(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		at := storetest.Recent()
		var group []*snapshot.Batch
		for i := range 6 {
			kind := snapshot.KindChanges
			if i == 0 {
				kind = snapshot.KindFull
			}
			ts := at.Add(time.Duration(i) * time.Second)
			one := snapshot.Snapshot{Timestamp: ts, Kind: kind}
			if i > 0 {
				one.Previous = ts.Add(-1500 * time.Millisecond) // another agent's
			}
			group = append(group, &snapshot.Batch{
				MachineID: "refused", Source: agentSource([]string{"a", "b"}[i%2]), Snapshots: []snapshot.Snapshot{one},
			})
		}
		refused := 0
		for _, result := range s.Write(t.Context(), group) {
			if result.Err != nil {
				refused++
			}
		}
		m, err := s.Machine(t.Context(), "refused")
		if err != nil {
			t.Fatal(err)
		}
		names := m.CompetingAgents.Names()
		if refused != 5 || !slices.Equal(names, []string{"host-a", "host-b"}) {
			t.Errorf("%d posts are refused, and the agents are %q", refused, names)
		}
	})
}

// The server stores how the agent reads processes, and whether it sees only its own.
func TestOwnProcessesOnly(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for _, hidden := range []bool{true, false, true} {
			machine := snapshot.Machine{
				MachineID: "hidden", Hostname: "h", OwnProcessesOnly: hidden, ProcessReader: snapshot.ReaderBPF,
			}
			if hidden {
				machine.ProcessReader, machine.ProcessReaderReason = snapshot.ReaderProc, "operation not permitted"
			}
			if _, err := s.Register(t.Context(), &machine); err != nil {
				t.Fatal(err)
			}
			if m, err := s.Machine(t.Context(), "hidden"); err != nil || m.Machine != machine {
				t.Errorf("%+v, want %+v (%v)", m, machine, err)
			}
		}
	})
}
