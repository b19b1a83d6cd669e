package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// script returns a process that started and ended between two snapshots.
func script(
	at snapshot.Time, pid int32, name string, used *snapshot.CPUTime, read, written *int64,
) snapshot.ProcessSample {
	return snapshot.ProcessSample{
		PID: pid, PPID: new(int32(1)), StartedAt: at - 3000, Name: name, CommandLine: name + " --once", User: "build",
		Cgroup: "/cron.service", CPUTime: used, ReadBytes: read, WriteBytes: written,
		MemoryUsage: new(int64(pid) << 20), State: snapshot.StateEnded,
	}
}

// testShortLivedProcesses checks top lists, comparisons and searches with processes that started and ended between two
// snapshots, before and after some of them have expired.
func testShortLivedProcesses(t *testing.T, s *testServer) {
	at := recentTime()
	old := at.Add(-3 * 24 * time.Hour)
	init := snapshot.ProcessSample{PID: 1, PPID: new(int32(0)), Name: "init", CPUTime: new(snapshot.CPUTime)}
	cpu := func(us snapshot.CPUTime) *snapshot.CPUTime { return &us }
	amount := func(n int64) *int64 { return &n }
	write := func(machineID string, at snapshot.Time, processes ...snapshot.ProcessSample) {
		for i, list := range [][]snapshot.ProcessSample{nil, processes} {
			storetest.Write(t, s.store, machineID, snapshot.Snapshot{
				Timestamp: at.Add(time.Duration(i-1) * 5 * time.Second), Kind: snapshot.KindFull, IntervalMS: 5000,
				Processes: append([]snapshot.ProcessSample{init}, list...),
			})
		}
	}
	write("scripts", old, script(old, 10, "expired", cpu(7_000_000), amount(1), amount(1)),
		script(old, 11, "script", cpu(80_000_000_000), amount(10), amount(20)))
	write("scripts", at,
		script(at, 20, "script", cpu(5000), amount(4096), amount(8192)),
		script(at, 21, "script", cpu(3000), nil, nil),
		script(at, 22, "script", nil, amount(1), amount(2)),
		script(at, 23, "script", cpu(4000), amount(100), nil))
	write("scripts-known", at, script(at, 30, "known", cpu(1500), amount(0), amount(5)))
	write("scripts-unknown", at, script(at, 40, "unknown", nil, nil, nil))
	t.Run("totals", func(t *testing.T) { testShortLivedTotals(t, s.in(t), at) })
	t.Run("lists", func(t *testing.T) { testShortLivedLists(t, s.in(t), at) })
	window := "from=" + old.Add(-time.Hour).String() + "&to=" + at.Add(time.Minute).String()
	t.Run("kept", func(t *testing.T) { testExpiredShortLived(t, s.in(t), window, old, at, false) })
	if got := s.do(http.MethodPatch, "/api/v1/storage/retention", `{"exits_days": 1}`); got.status != 200 {
		t.Fatal(got.text)
	}
	t.Run("expired", func(t *testing.T) { testExpiredShortLived(t, s.in(t), window, old, at, true) })
}

// testShortLivedTotals checks the sums of comparisons, with and without unknown amounts.
func testShortLivedTotals(t *testing.T, s *testServer, at snapshot.Time) {
	for machineID, want := range map[string]string{
		"scripts": `"short_lived":{"processes":4,"cpu_ms":12,"read_bytes":4197,"write_bytes":8194,` +
			`"unknown_cpu_processes":1,"unknown_io_processes":2}`,
		"scripts-known": `"short_lived":{"processes":1,"cpu_ms":1.5,"read_bytes":0,"write_bytes":5}`,
		"scripts-unknown": `"short_lived":{"processes":1,"cpu_ms":null,"read_bytes":null,"write_bytes":null,` +
			`"unknown_cpu_processes":1,"unknown_io_processes":1}`,
	} {
		got := s.get("/api/v1/machines/%s/diff?from=%s&to=%s", machineID, at.Add(-5*time.Second), at)
		diff := decode[api.MachineDiff](t, got)
		if !strings.Contains(got.text, want) || diff.Truncated || diff.ShortLivedFrom != nil ||
			diff.Totals != (api.DiffTotals{Passed: int(diff.ShortLived.Processes)}) ||
			len(diff.Passed) != diff.Totals.Passed {
			t.Errorf("%s: %s, want %s", machineID, got.text, want)
		}
		// Nothing is between a snapshot and itself, or before the first one.
		same := decode[api.MachineDiff](t, s.get("/api/v1/machines/%s/diff?from=%s&to=%s", machineID, at, at))
		if same.ShortLived.Processes != 0 || same.Totals.Passed != 0 {
			t.Errorf("%s: of one snapshot: %+v", machineID, same)
		}
	}
	got := s.get("/api/v1/machines/scripts/diff?from=%s&to=%s&limit=1", at.Add(-5*time.Second), at)
	cut := decode[api.MachineDiff](t, got)
	if len(cut.Passed) != 1 || !cut.Truncated || cut.Totals.Passed != 4 || cut.ShortLived.Processes != 4 {
		t.Errorf("a limit of 1: %s", got.text)
	}
}

// testShortLivedLists checks the top list by process and by name, and a search.
func testShortLivedLists(t *testing.T, s *testServer, at snapshot.Time) {
	window := "from=" + at.Add(-time.Minute).String() + "&to=" + at.Add(time.Minute).String()
	pids := func(list []api.UsageView) (pids []int32) {
		for i := range list {
			if list[i].Name == "script" {
				pids = append(pids, list[i].PID)
			}
		}
		return pids
	}
	for sort, want := range map[string][]int32{"cpu": {20, 23, 21, 22}, "memory": {23, 22, 21, 20}} {
		got := s.get("/api/v1/machines/scripts/processes?%s&sort=%s", window, sort)
		top := decode[api.TopProcesses](t, got)
		if !slices.Equal(pids(top.Results), want) || top.Truncated || top.ShortLivedFrom != nil {
			t.Errorf("by %s: %v, want %v: %s", sort, pids(top.Results), want, got.text)
		}
		// On other machines, more than 1000 processes have a known CPU time.
		fleet := decode[api.TopProcesses](t, s.get("/api/v1/processes/top?%s&sort=%s&limit=1000", window, sort))
		if got := pids(fleet.Results); len(got) < 3 || !slices.Equal(got, want[:len(got)]) {
			t.Errorf("all machines by %s: %v, want %v", sort, got, want)
		}
	}
	first := decode[api.TopProcesses](t, s.get("/api/v1/machines/scripts/processes?%s&limit=1", window))
	if one := first.Results[0]; len(first.Results) != 1 || !first.Truncated || one.PID != 20 || one.Processes != 1 ||
		one.MachineID != "scripts" || one.CommandLine != "script --once" || one.User != "build" ||
		*one.StartedAt != at-3000 || *one.CPUTime != 5000 || *one.MemoryMax != 20<<20 || *one.WriteBytes != 8192 {
		t.Errorf("the first process: %+v", first)
	}
	for limit, want := range map[int]bool{4: true, 5: false} { // with init
		cut := decode[api.TopProcesses](t, s.get("/api/v1/machines/scripts/processes?%s&limit=%d", window, limit))
		if len(cut.Results) != limit || cut.Truncated != want {
			t.Errorf("a limit of %d: %+v", limit, cut)
		}
	}
	names := decode[api.TopProcesses](t, s.get("/api/v1/machines/scripts/processes?%s&by=name", window))
	if one := names.Results[0]; len(names.Results) != 2 || one.Name != "script" || one.Processes != 4 ||
		one.UnknownCPU != 1 || one.UnknownIO != 2 ||
		*one.CPUTime != 12_000 || *one.ReadBytes != 4197 || *one.CPUTimeMax != 5000 {
		t.Errorf("by name: %+v", names)
	}
	for match, want := range map[string][]int32{
		"name=script": {20, 23, 21, 22}, "command=SCRIPT+--on": {20, 23, 21, 22}, "command=script+--once+": nil,
	} {
		found := decode[api.ProcessMatches](t, s.get("/api/v1/processes?%s&%s", window, match))
		var got []int32
		if len(found.Results) > 0 {
			got = pids(found.Results[0].Usages)
		}
		if len(found.Results) != min(1, len(want)) || !slices.Equal(got, want) || found.Truncated ||
			found.ShortLivedFrom != nil {
			t.Errorf("%s: %+v, want %v", match, found, want)
		}
	}
	// Who may see no machine sees no process.
	list, _, err := s.store.Top(t.Context(), query.UsageQuery{
		From: at.Add(-time.Minute), To: at.Add(time.Minute), Order: query.ByCPU, Limit: 10,
	})
	if err != nil || len(list) != 0 {
		t.Errorf("without permissions: %+v, %v", list, err)
	}
}

// testExpiredShortLived checks a window of several days, before or after the first processes of it have expired. Sums
// have all of them.
func testExpiredShortLived(
	t *testing.T, s *testServer, window string, old, at snapshot.Time, hasExpired bool,
) {
	check := func(what string, from *snapshot.Time, got, kept, left int) {
		t.Helper()
		want := kept
		if hasExpired {
			want = left
		}
		if got != want || (from != nil) != hasExpired || hasExpired && (*from <= old || *from >= at) {
			t.Errorf("%s: %d processes, want %d; short-lived ones from %v", what, got, want, from)
		}
	}
	top := decode[api.TopProcesses](t, s.get("/api/v1/machines/scripts/processes?%s", window))
	check("top", top.ShortLivedFrom, len(top.Results), 7, 5)
	fleet := decode[api.TopProcesses](t, s.get("/api/v1/processes/top?%s&limit=1", window))
	if isOld := fleet.Results[0].PID == 11; len(fleet.Results) != 1 || isOld == hasExpired {
		t.Errorf("the first process of all machines: %+v", fleet)
	}
	names := decode[api.TopProcesses](t, s.get("/api/v1/machines/scripts/processes?%s&by=name", window))
	if one := names.Results[0]; names.ShortLivedFrom != nil || one.Name != "script" || one.Processes != 5 ||
		*one.CPUTime != 80_000_012_000 {
		t.Errorf("by name: %+v", names)
	}
	for name, counts := range map[string][2]int{"expired": {1, 0}, "script": {5, 4}, "nothing": {0, 0}} {
		found := decode[api.ProcessMatches](t, s.get("/api/v1/processes?%s&name=%s", window, name))
		n := 0
		for i := range found.Results {
			n += len(found.Results[i].Usages)
		}
		check("search for "+name, found.ShortLivedFrom, n, counts[0], counts[1])
	}
	diff := decode[api.MachineDiff](t,
		s.get("/api/v1/machines/scripts/diff?from=%s&to=%s", old.Add(-5*time.Second), at))
	check("comparison", diff.ShortLivedFrom, len(diff.Passed), 6, 4)
	if diff.ShortLived.Processes != 6 || diff.Totals.Passed != 6 || diff.Truncated != hasExpired ||
		*diff.ShortLived.CPUTime != 80_007_012_000 || diff.ShortLived.UnknownIO != 2 {
		t.Errorf("comparison: %+v", diff)
	}
	// A window after that has the same answer as before.
	recent := decode[api.TopProcesses](t, s.get("/api/v1/machines/scripts/processes?since=3h"))
	if len(recent.Results) != 5 || recent.ShortLivedFrom != nil {
		t.Errorf("the last hours: %+v", recent)
	}
}
