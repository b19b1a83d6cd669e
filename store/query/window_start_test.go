package query_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// startOfRollups: a process of the state at the start of a window, whose end no sample reports, is in windows of every
// length, and so is the level there. What it used until its end is unknown.
func startOfRollups(t *testing.T, s *store.Store, machineID string) {
	const interval = 10 * time.Second
	threads := func(one snapshot.ProcessSample, n int32) snapshot.ProcessSample {
		one.Threads = &n
		return one
	}
	list := []snapshot.Snapshot{
		full(clock(13, 59, 35), interval,
			threads(entry(5, "java", 10, 1<<20), 20), entry(66, "short", 10, 9<<30), entry(67, "ended", 10, 1<<20)),
		changes(clock(13, 59, 45), interval, threads(entry(5, "java", 10, 1<<20), 21)),
		changes(clock(13, 59, 55), interval, threads(entry(5, "java", 10, 1<<20), 22)),
	}
	list[2].Exited = []snapshot.ProcessKey{{PID: 67, StartedAt: clock(1, 0, 0)}}
	for at := clock(14, 0, 5); at <= clock(14, 0, 55); at = at.Add(interval) {
		list = append(list, full(at, interval, threads(entry(5, "java", -1, 1<<20), 16)))
	}
	list = append(list, // the process of the last snapshot before 18:00 is not part of the window from 18:00 on
		full(clock(17, 59, 0), interval, entry(68, "before a gap", 10, 1<<20)),
		full(clock(18, 30, 0), interval, threads(entry(5, "java", 10, 1<<20), 16)))
	storetest.Write(t, s, machineID, list...)
	check := func(when string) {
		t.Helper()
		for _, to := range []snapshot.Time{clock(14, 30, 0), clock(17, 0, 0), clock(18, 0, 0)} {
			top := topOf(t, s, machineID, clock(14, 0, 0), to)
			if one, ok := top[66]; !ok || deref(one.MemoryMax) != 9<<30 || deref(one.MemoryAvg) != 9<<30 ||
				one.CPUTime != nil || one.CPUUsage != nil || one.First != clock(13, 59, 55) ||
				one.Last != one.First {
				t.Errorf("%s, until %s: the process is %+v (%v), want 9 GiB and unknown CPU", when, to, one, ok)
			}
			if one := top[5]; one.CPUTime != nil || deref(one.ThreadsMax) != 22 {
				t.Errorf("%s, until %s: java has %v ms and %d threads, want unknown and 22",
					when, to, one.CPUTime, deref(one.ThreadsMax))
			}
			if _, ok := top[67]; ok {
				t.Errorf("%s, until %s: a process that ended before the window is in it", when, to)
			}
			found, err := s.FleetWindow(t.Context(), query.Match{Name: "short"}, clock(14, 0, 0), to,
				query.FleetPage{View: query.AllMachines(), Limit: 10})
			if err != nil || len(found.Usages) != 1 {
				t.Errorf("%s, until %s: a search finds %+v, %v", when, to, found, err)
			}
		}
		if top := topOf(t, s, machineID, clock(18, 0, 0), clock(22, 0, 0)); len(top) != 1 {
			t.Errorf("%s: after a gap, the window begins with %+v", when, top)
		}
		if top := topOf(t, s, machineID, clock(14, 0, 0).Add(-24*time.Hour), clock(12, 0, 0)); len(top) != 0 {
			t.Errorf("%s: a window before the first snapshot has %+v", when, top)
		}
		if top := topOf(t, s, machineID, clock(15, 0, 0), clock(17, 0, 0).Add(-time.Second)); len(top) != 0 {
			t.Errorf("%s: a window without snapshots has %+v", when, top)
		}
	}
	if err := s.CloseSilent(t.Context(), clock(23, 0, 0).Std()); err != nil {
		t.Fatal(err)
	}
	beforeAndAfterRollups(t, s, check)
}

// startBeforeLateSnapshots: late snapshots within the first interval of an hour are not part of the time before it. So
// windows of every length, and comparisons, begin with the state of the snapshot with which that interval begins.
func startBeforeLateSnapshots(t *testing.T, s *store.Store, machineID string) {
	const interval = 10 * time.Second
	idle := entry(66, "idle", 10, 9<<30)
	storetest.Write(t, s, machineID,
		full(clock(13, 59, 45), interval, entry(5, "java", 10, 2<<20), idle),
		full(clock(13, 59, 55), interval, entry(5, "java", 10, 2<<20), idle),
		full(clock(14, 0, 5), interval, entry(5, "java", 10, 1<<20)),
		full(clock(16, 59, 55), interval, entry(5, "java", 10, 1<<20)))
	storetest.Write(t, s, machineID,
		full(clock(13, 59, 56), time.Second, entry(5, "java", 1, 1<<20), idle),
		changes(clock(13, 59, 58), 2*time.Second, entry(5, "java", 1, 1<<20)))
	for _, to := range []snapshot.Time{clock(14, 30, 0), clock(17, 0, 0)} {
		top := topOf(t, s, machineID, clock(14, 0, 0), to)
		if len(top) != 2 || deref(top[66].MemoryMax) != 9<<30 || deref(top[5].MemoryMax) != 2<<20 {
			t.Errorf("until %s: %+v, want two processes with their levels at 13:59:55", to, top)
		}
		diff, err := s.Diff(t.Context(), machineID, clock(14, 0, 0), to, 1000)
		if err != nil {
			t.Fatal(err)
		}
		used := make(map[int32]int64)
		for _, change := range diff.Changes {
			if change.Used != nil {
				used[change.Used.PID] = deref(change.Used.MemoryMax)
			}
		}
		if used[66] != 9<<30 || used[5] != 2<<20 {
			t.Errorf("the comparison until %s has %v bytes, want those at its start", to, used)
		}
	}
}
