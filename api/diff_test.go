package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/api"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The change of an unknown value is unknown, and no difference.
func TestDiffOfUnknownValues(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	at := recentTime()
	process := func(pid int32, memory *int64) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, PPID: new(int32(0)), Name: "p", CPUTime: new(snapshot.CPUTime(pid)), MemoryUsage: memory,
			Threads: new(int32(1)),
		}
	}
	const unknown, grew, started = 1, 2, 3
	for i, list := range [][]snapshot.ProcessSample{
		{process(unknown, nil), process(grew, new(int64(1)))},
		{process(unknown, new(int64(2<<30))), process(grew, new(int64(5))), process(started, new(int64(7)))},
	} {
		storetest.Write(t, s.store, "unknown", snapshot.Snapshot{
			Timestamp: at.Add(time.Duration(i) * time.Minute), Kind: snapshot.KindFull, IntervalMS: 60_000,
			Processes: list,
		})
	}
	byMemory := decode[api.MachineDiff](t,
		s.get("/api/v1/machines/unknown/diff?from=%s&to=%s", at, at.Add(time.Minute)))
	if list := byMemory.Grew; len(list) != 1 || list[0].PID != grew || *list[0].MemoryChange != 4 {
		t.Errorf("grew: %+v", list)
	}
	if list := byMemory.Started; len(list) != 1 || list[0].PID != started || *list[0].MemoryChange != 7 {
		t.Errorf("started: %+v", list)
	}
	byCPU := decode[api.MachineDiff](t,
		s.get("/api/v1/machines/unknown/diff?from=%s&to=%s&sort=cpu", at, at.Add(time.Minute)))
	if list := byCPU.Grew; len(list) != 2 || list[1].PID != unknown || list[1].MemoryChange != nil ||
		*list[1].ThreadsChange != 0 {
		t.Errorf("with CPU time: %+v", list)
	}
}

// A process that called exec has changed, and one that only used CPU or did I/O was active.
func TestDiffOfIdentityAndUse(t *testing.T) {
	t.Parallel()
	s := start(t, api.Config{})
	at := recentTime()
	process := func(pid int32, name, user string, used snapshot.CPUTime, written int64) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, PPID: new(int32(0)), Name: name, CommandLine: name + " --all", User: user, CPUTime: &used,
			MemoryUsage: new(int64(1000)), Threads: new(int32(1)), ReadBytes: new(int64(0)), WriteBytes: &written,
		}
	}
	const idle, called, setUser, computed, wrote = 1, 2, 3, 4, 5
	for i, list := range [][]snapshot.ProcessSample{
		{
			process(idle, "idle", "root", 0, 0), process(called, "sh", "root", 5, 9),
			process(setUser, "login", "root", 0, 0), process(computed, "sum", "root", 5, 0),
			process(wrote, "log", "root", 0, 7),
		},
		{
			process(idle, "idle", "root", 0, 0), process(called, "job", "root", 0, 0),
			process(setUser, "login", "alice", 0, 0), process(computed, "sum", "root", 40, 0),
			process(wrote, "log", "root", 0, 6),
		},
	} {
		storetest.Write(t, s.store, "exec", snapshot.Snapshot{
			Timestamp: at.Add(time.Duration(i) * time.Minute), Kind: snapshot.KindFull, IntervalMS: 60_000,
			Processes: list,
		})
	}
	pids := func(list []api.ProcessChangeView) (pids []int32) {
		for i := range list {
			pids = append(pids, list[i].PID)
		}
		return pids
	}
	get := func(sort string) api.MachineDiff {
		return decode[api.MachineDiff](t,
			s.get("/api/v1/machines/exec/diff?from=%s&to=%s&sort=%s", at, at.Add(time.Minute), sort))
	}
	diff := get("memory")
	if got := pids(diff.Active); !slices.Equal(got, []int32{computed, wrote}) {
		t.Errorf("active: %v", got)
	}
	if one := diff.Active[1]; *one.WriteBytes != 6 || *one.ReadBytes != 0 || one.IdentityBefore != nil {
		t.Errorf("I/O: %+v", one)
	}
	if got := pids(diff.Changed); !slices.Equal(got, []int32{called, setUser}) {
		t.Fatalf("changed: %v", got)
	}
	before := snapshot.Identity{Name: "sh", CommandLine: "sh --all", User: "root"}
	if one := diff.Changed[0]; one.Name != "job" || *one.IdentityBefore != before {
		t.Errorf("exec: %+v", one)
	}
	if want := (api.DiffTotals{Active: 2, Changed: 2}); diff.Totals != want {
		t.Errorf("totals: %+v", diff.Totals)
	}
	byCPU := get("cpu")
	if grew, active := pids(byCPU.Grew), pids(byCPU.Active); !slices.Equal(grew, []int32{computed}) ||
		!slices.Equal(active, []int32{wrote}) {
		t.Errorf("by CPU: grew %v, active %v", grew, active)
	}
}

// testDiffOfUnknownUse checks that processes that ran all the time are counted if their use is unknown, also if a
// changes snapshot leaves them out.
func testDiffOfUnknownUse(t *testing.T, s *testServer) {
	at := recentTime()
	process := func(pid int32, used *snapshot.CPUTime, read, written *int64) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, PPID: new(int32(0)), Name: "p", CPUTime: used, ReadBytes: read, WriteBytes: written,
		}
	}
	known, idle := new(int64(0)), new(snapshot.CPUTime)
	for i, one := range []snapshot.Snapshot{
		{Kind: snapshot.KindFull, Processes: []snapshot.ProcessSample{
			process(1, idle, known, known), process(2, nil, known, known), process(3, idle, nil, nil),
			process(4, nil, nil, nil), process(5, idle, known, nil), process(6, nil, nil, nil),
		}},
		{
			Kind: snapshot.KindChanges, Previous: at, Exited: []snapshot.ProcessKey{{PID: 6}},
			Processes: []snapshot.ProcessSample{process(7, nil, nil, nil)},
		},
	} {
		one.Timestamp, one.IntervalMS = at.Add(time.Duration(i)*time.Minute), 60_000
		storetest.Write(t, s.store, "unknown-use", one)
	}
	diff := decode[api.MachineDiff](t,
		s.get("/api/v1/machines/unknown-use/diff?from=%s&to=%s", at, at.Add(time.Minute)))
	if diff.UnknownCPUProcesses != 2 || diff.UnknownIOProcesses != 3 {
		t.Errorf("unknown CPU of %d processes, I/O of %d", diff.UnknownCPUProcesses, diff.UnknownIOProcesses)
	}
	same := decode[api.MachineDiff](t, s.get("/api/v1/machines/unknown-use/diff?from=%s&to=%s", at, at))
	if same.UnknownCPUProcesses != 0 || same.UnknownIOProcesses != 0 {
		t.Errorf("of one snapshot: %+v", same)
	}
}

// testDiffOfMissedProcesses checks that what the agent reported as missing between the two times is added up. What was
// missing before them is not.
func testDiffOfMissedProcesses(t *testing.T, s *testServer) {
	at := recentTime()
	const largest = 1<<53 - 1
	for i, missed := range []struct{ unseen, dropped *int64 }{
		{new(int64(7)), new(int64(1))}, {new(int64(5000)), new(int64(3))}, {nil, nil}, {new(int64(2)), new(int64(0))},
		{new(int64(largest)), nil},
	} {
		storetest.Write(t, s.store, "missed", snapshot.Snapshot{
			Timestamp: at.Add(time.Duration(i) * time.Minute), Kind: snapshot.KindFull, IntervalMS: 60_000,
			Machine: snapshot.MachineSnapshot{UnseenProcesses: missed.unseen, DroppedSnapshots: missed.dropped},
		})
	}
	for _, c := range []struct {
		minutes         time.Duration
		unseen, dropped int64
	}{{0, 0, 0}, {1, 5000, 3}, {3, 5002, 3}, {4, largest, 3}} {
		diff := decode[api.MachineDiff](t,
			s.get("/api/v1/machines/missed/diff?from=%s&to=%s", at, at.Add(c.minutes*time.Minute)))
		if diff.UnseenProcesses != c.unseen || diff.DroppedSnapshots != c.dropped {
			t.Errorf("%d minutes: %d unseen processes and %d dropped snapshots, want %d and %d",
				c.minutes, diff.UnseenProcesses, diff.DroppedSnapshots, c.unseen, c.dropped)
		}
	}
}

// testDiffOfManyProcesses is a case of a list that is cut: 3,814 processes came and went between two snapshots. No limit
// returns more than 1000 of them.
func testDiffOfManyProcesses(t *testing.T, s *testServer) {
	const many = 3814
	at := recentTime()
	init := snapshot.ProcessSample{PID: 1, PPID: new(int32(0)), Name: "init", CPUTime: new(snapshot.CPUTime)}
	busy := snapshot.Snapshot{Timestamp: at.Add(5 * time.Second), Kind: snapshot.KindChanges, IntervalMS: 5000}
	for pid := range int32(many) {
		busy.Processes = append(busy.Processes, snapshot.ProcessSample{
			PID: pid + 2, StartedAt: at.Add(time.Second), PPID: new(int32(1)), Name: "short", CommandLine: "short 1",
			User: "root", Cgroup: "/short.service", CPUTime: new(snapshot.CPUTime(pid)), State: snapshot.StateEnded,
		})
	}
	storetest.Write(t, s.store, "many", snapshot.Snapshot{
		Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000, Processes: []snapshot.ProcessSample{init},
	}, busy)
	path := fmt.Sprintf("/api/v1/machines/many/diff?from=%s&to=%s", at, busy.Timestamp)
	for query, want := range map[string]int{"": 1000, "&limit=3814": 1000, "&limit=10": 10} {
		diff := decode[api.MachineDiff](t, s.get("%s", path+query))
		if len(diff.Passed) != want || !diff.Truncated || diff.Totals != (api.DiffTotals{Passed: many}) ||
			diff.ShortLived.Processes != many {
			t.Errorf("%q: %d processes, truncated: %t, totals %+v, short-lived %+v; want %d of %d",
				query, len(diff.Passed), diff.Truncated, diff.Totals, diff.ShortLived, want, many)
		}
		first := diff.Passed[0]
		if want := busy.Processes[0].Identity(); first.Identity != want {
			t.Errorf("%q: %+v, want %+v", query, first.Identity, want)
		}
		if first.PID != many+1 {
			t.Errorf("%q: the first is pid %d, want the one with the most CPU time", query, first.PID)
		}
	}
}
