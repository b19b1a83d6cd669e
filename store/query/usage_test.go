package query_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A short list of top processes is the start of the whole list, also if some processes have many identities.
func TestShortListIsTheStartOfTheWhole(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for seed := range uint64(6) {
			machineID := fmt.Sprintf("short-%d", seed)
			storetest.Write(t, s, machineID, seriesOfIdentities(rand.New(rand.NewPCG(seed, 1)))...)
			for _, order := range []query.UsageOrder{query.ByCPU, query.ByMemory} {
				top := func(limit int) []query.Usage {
					t.Helper()
					list, _, err := s.Top(t.Context(), query.UsageQuery{
						MachineID: machineID, From: clock(14, 0, 0), To: clock(14, 10, 0), Order: order, Limit: limit})
					if err != nil {
						t.Fatal(err)
					}
					return list
				}
				whole := top(1000)
				for limit := 1; limit <= 200; limit += 1 + limit/4 {
					list := top(limit)
					if len(list) != min(limit, len(whole)) {
						t.Fatalf("seed %d: %d processes by %s, want %d of %d",
							seed, len(list), order, limit, len(whole))
					}
					for i := range list {
						if list[i].PID != whole[i].PID || msOf(list[i].CPUTime) != msOf(whole[i].CPUTime) {
							t.Fatalf("seed %d: place %d of %d by %s is %+v, want %+v",
								seed, i, limit, order, list[i], whole[i])
						}
					}
				}
			}
		}
	})
}

// seriesOfIdentities returns a series of 60 processes. Some of them change their command line, and some use much in
// few snapshots.
func seriesOfIdentities(rng *rand.Rand) []snapshot.Snapshot {
	var list []snapshot.Snapshot
	for second := 1; second <= 40; second++ {
		var processes []snapshot.ProcessSample
		for pid := range int32(60) {
			one := entry(100+pid, "worker", rng.Int64N(100), 1<<20+rng.Int64N(1<<20))
			if pid%7 == 0 {
				one.CommandLine = fmt.Sprintf("worker: request %d", rng.IntN(int(pid)+2))
			}
			if rng.IntN(30) == 0 {
				*one.CPUTime, *one.MemoryUsage = *one.CPUTime*10, *one.MemoryUsage<<rng.IntN(14)
			}
			processes = append(processes, one)
		}
		list = append(list, full(clock(14, 0, second), time.Second, processes...))
	}
	return list
}

// startBeforeEnd checks that the state at the start of a window counts if the snapshot there was the first one of an
// agent, with an unknown interval.
func startBeforeEnd(t *testing.T, s *store.Store, machineID string) {
	storetest.Write(t, s, machineID,
		full(clock(14, 0, 0), 0, entry(1, "init", -1, 1<<20), entry(66, "huge", -1, 64<<30)),
		full(clock(14, 1, 0), time.Minute, entry(1, "init", 5, 1<<20)),
	)
	huge, ok := topOf(t, s, machineID, clock(14, 0, 1), clock(14, 5, 0))[66]
	if !ok || deref(huge.MemoryMax) != 64<<30 {
		t.Errorf("%+v (%v), want a process of 64 GiB", huge, ok)
	}
}

func startOfLastHours(t *testing.T, s *store.Store, machineID string) {
	storetest.Write(t, s, machineID,
		full(clock(12, 30, 0), 3*time.Hour, entry(1, "init", 5, 1<<20), entry(66, "huge", 0, 64<<30)),
		full(clock(15, 30, 0), 3*time.Hour, entry(1, "init", 5, 1<<20)),
	)
	huge, ok := topOf(t, s, machineID, clock(14, 0, 0), clock(16, 30, 0))[66]
	if !ok || deref(huge.MemoryMax) != 64<<30 {
		t.Errorf("%+v (%v), want a process of 64 GiB", huge, ok)
	}
}

func lateBeforeLongInterval(t *testing.T, s *store.Store, machineID string) {
	for _, one := range []snapshot.Snapshot{
		full(clock(14, 0, 10), 10*time.Second, entry(5, "java", 10_000, 8<<30)),
		full(clock(14, 1, 25), 60*time.Second, entry(5, "java", 60_000, 1<<30)),
		full(clock(14, 0, 25), 15*time.Second, entry(5, "java", 15_000, 8<<30)),
	} {
		storetest.Write(t, s, machineID, one)
	}
	wantNear(t, "average memory", topOf(t, s, machineID, clock(14, 0, 0), clock(14, 30, 0))[5].MemoryAvg,
		(25.0*(8<<30)+60*(1<<30))/85)
	if p := hourOf(t, s, machineID, 5); p.ElapsedMS != 85_000 || msOf(p.CPUTime) != 85_000 {
		t.Errorf("%d ms of CPU in %d ms, want 85,000 in 85,000", msOf(p.CPUTime), p.ElapsedMS)
	}
}

// hourOf returns the hour from 14:00 of a process.
func hourOf(t *testing.T, s *store.Store, machineID string, pid int32) query.ProcessPoint {
	t.Helper()
	lifetime, err := s.ProcessLifetime(t.Context(), machineID, pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	points, _, err := s.ProcessHistory(
		t.Context(), machineID, lifetime, clock(14, 0, 0), clock(15, 0, 0), query.ResolutionHour, 10)
	if err != nil || len(points) != 1 {
		t.Fatalf("%+v, %v", points, err)
	}
	return points[0]
}

func startedBeforeGap(t *testing.T, s *store.Store, machineID string) {
	busy := entry(7, "busy", 1000, 1<<20)
	busy.StartedAt = clock(14, 0, 59)
	later := entry(7, "busy", 60_000, 1<<20)
	later.StartedAt = busy.StartedAt
	storetest.Write(t, s, machineID,
		full(clock(14, 1, 0), time.Minute, busy),
		full(clock(14, 20, 0), 0),
		full(clock(14, 21, 0), time.Minute, later),
	)
	if p := hourOf(t, s, machineID, 7); msOf(p.CPUTime) != 61_000 || p.ElapsedMS != 61_000 {
		t.Errorf("%d ms of CPU in %d ms, want 61,000 in 61,000", msOf(p.CPUTime), p.ElapsedMS)
	}
}

func runningHourOfFleet(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	for minute := 1; minute <= 195; minute++ {
		list = append(list, full(clock(11, minute, 0), time.Minute, entry(5, machineID, 60_000, 1<<20)))
	}
	storetest.Write(t, s, machineID, list...)
	from, now := clock(11, 0, 0), clock(14, 15, 0)
	_, plan, err := s.Top(t.Context(), query.UsageQuery{
		View: query.AllMachines(), From: from, To: now, Order: query.ByCPU, Limit: 20})
	if err != nil || plan.From != from || plan.To != now {
		t.Errorf("the window is %s to %s (%v), want %s to %s", plan.From, plan.To, err, from, now)
	}
	found, err := s.FleetWindow(t.Context(), query.Match{Name: machineID}, from, now,
		query.FleetPage{View: query.AllMachines(), Limit: 10})
	if err != nil || len(found.Usages) != 1 || msOf(found.Usages[0].CPUTime) != 195*60_000 || found.Window.To != now {
		t.Errorf("%+v, %v", found, err)
	}
}

// nameOnTwoMachines checks the rates of a name on machines that were measured for different parts of an hour.
func nameOnTwoMachines(t *testing.T, s *store.Store, machineID string) {
	name := "postgres " + machineID
	series := func(minutes int, processes ...snapshot.ProcessSample) (list []snapshot.Snapshot) {
		for minute := 1; minute <= minutes; minute++ {
			list = append(list, full(clock(14, minute, 0), time.Minute, processes...))
		}
		return list
	}
	storetest.Write(t, s, machineID, series(10, entry(5, name, 60_000, 1<<20))...)
	storetest.Write(t, s, machineID+"-without", series(59, entry(5, "init", 10, 1<<20))...)
	check := func(when string, cores, running float64) {
		t.Helper()
		for _, resolution := range []query.Resolution{query.ResolutionHour, query.ResolutionMinute} {
			history, err := s.NameHistory(
				t.Context(), query.AllMachines(), "", name, clock(14, 0, 0), clock(15, 0, 0), resolution, 100)
			points := history.Points
			if err != nil || len(points) == 0 {
				t.Fatalf("%s: %+v, %v", when, points, err)
			}
			got := float64(msOf(points[0].CPUTime)) / float64(points[0].ElapsedMS)
			if got < cores-0.001 || got > cores+0.001 || deref(points[0].RunningAvg) != running {
				t.Errorf("%s, %s: %v cores and %v processes, want %v and %v",
					when, resolution, got, deref(points[0].RunningAvg), cores, running)
			}
		}
	}
	check("on one of two machines", 1, 1)
	storetest.Write(t, s, machineID+"-half", series(59, entry(5, name, 30_000, 1<<20))...)
	check("on two of three machines", 1.5, 2)
	history, err := s.NameHistory(t.Context(), query.AllMachines(), "", name, clock(14, 0, 0), clock(15, 0, 0),
		query.ResolutionMinute, 100)
	minutes := history.Points
	if err != nil || len(minutes) < 59 {
		t.Fatalf("%d minutes, %v", len(minutes), err)
	}
	for i, p := range minutes[:59] {
		if want := int64(1 + min(1, max(0, 10-i))); p.Machines != 2 || p.MachinesMeasured != want {
			t.Errorf("minute %d: %d of %d machines were measured, want %d of 2",
				i, p.MachinesMeasured, p.Machines, want)
		}
	}
	// An interval that no agent has changes the rate of its own machine only.
	storetest.Write(t, s, machineID+"-wrong", full(clock(14, 1, 0), 24*time.Hour, entry(5, name, 0, 1<<20)))
	check("with an interval of a day", 1.5, 2.542) // it ran for 13 h 1 min of it
}
