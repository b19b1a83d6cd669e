package query_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func idleProcessInWindow(t *testing.T, s *store.Store, machineID string) {
	list := []snapshot.Snapshot{
		full(clock(14, 13, 0), 10*time.Second, entry(1, "init", 0, 1<<20), entry(66, "idle", 0, 9<<30)),
	}
	for second := 10; second <= 50; second += 10 {
		list = append(list, changes(clock(14, 13, second), 10*time.Second, entry(1, "init", 10, 1<<20)))
	}
	list[5].Exited = []snapshot.ProcessKey{{PID: 66, StartedAt: clock(1, 0, 0)}}
	storetest.Write(t, s, machineID, list...)
	from, to := clock(14, 13, 15), clock(15, 53, 0)
	idle, ok := topOf(t, s, machineID, from, to)[66]
	if !ok || deref(idle.MemoryMax) != 9<<30 || deref(idle.MemoryAvg) != 9<<30 || msOf(idle.CPUTime) != 0 ||
		idle.Last != clock(14, 13, 50) {
		t.Errorf("the idle process is %+v (%v), want 9 GiB until 14:13:50", idle, ok)
	}
	found, err := s.FleetWindow(
		t.Context(), query.Match{Name: "idle"}, from, to, query.FleetPage{View: query.AllMachines(), Limit: 10},
	)
	if err != nil || !slices.ContainsFunc(found.Usages, func(u query.Usage) bool { return u.MachineID == machineID }) {
		t.Errorf("a search by name finds %+v, %v", found, err)
	}
	if _, ok := topOf(t, s, machineID, clock(14, 13, 50), to)[66]; ok {
		t.Error("the process is in a window after its end")
	}
}

func windowBetweenSnapshots(t *testing.T, s *store.Store, machineID string) {
	const interval = 5 * time.Minute
	burn := entry(7, "burn", interval.Milliseconds(), 64<<30)
	storetest.Write(t, s, machineID, full(clock(14, 0, 0), interval, burn, entry(8, "gone", 0, 1<<20)),
		full(clock(14, 5, 0), interval, burn), changes(clock(14, 10, 0), interval, burn),
		full(clock(14, 50, 0), interval, burn))
	now := snapshot.TimeOf(time.Now()).Add(-2 * time.Minute)
	storetest.Write(t, s, machineID, full(now, interval, burn))
	for _, window := range []struct {
		from, to snapshot.Time
		want     bool
	}{
		{clock(14, 7, 0), clock(14, 8, 0), true},
		{clock(14, 5, 0), clock(14, 6, 0), true},
		{clock(14, 12, 0), clock(14, 13, 0), true},  // recorded, though a gap follows
		{clock(14, 21, 0), clock(14, 22, 0), false}, // in the gap
		{clock(14, 44, 0), clock(14, 45, 0), false},
		{now.Add(time.Second), now.Add(time.Minute), true}, // no snapshot follows yet
		{now.Add(-7 * time.Minute), now.Add(-6 * time.Minute), false},
	} {
		list := topOf(t, s, machineID, window.from, window.to)
		burn, ok := list[7]
		if ok != window.want || ok && (deref(burn.MemoryMax) != 64<<30 || burn.CPUTime != nil) || list[8].PID != 0 {
			t.Errorf("(%s, %s]: %+v, want burn %v", window.from, window.to, list, window.want)
		}
		found, err := s.FleetWindow(t.Context(), query.Match{Name: "burn"}, window.from, window.to,
			query.FleetPage{View: query.AllMachines(), Limit: 1000})
		isFound := slices.ContainsFunc(found.Usages, func(u query.Usage) bool { return u.MachineID == machineID })
		if err != nil || isFound != window.want {
			t.Errorf("(%s, %s]: found %v, %v", window.from, window.to, isFound, err)
		}
	}
}

// windowBeforeGap: a window that begins shortly after the last snapshot before a gap has its processes.
func windowBeforeGap(t *testing.T, s *store.Store, machineID string) {
	const interval = 5 * time.Minute
	burn, before := entry(7, "burn", interval.Milliseconds(), 1<<30), entry(9, "before", 0, 64<<30)
	list := []snapshot.Snapshot{
		full(clock(14, 50, 0), interval, burn, before), changes(clock(14, 55, 0), interval, burn),
		full(clock(15, 50, 0), 0, entry(7, "burn", -1, 1<<30)),
	}
	for minute := 5; minute <= 200; minute += 5 {
		list = append(list, full(clock(15, 50+minute, 0), interval, burn))
	}
	storetest.Write(t, s, machineID, list...)
	for _, window := range []struct {
		from, to snapshot.Time
		want     bool
	}{
		{clock(14, 55, 0), clock(15, 52, 0), true},
		{clock(15, 0, 0), clock(16, 0, 0), true},
		{clock(15, 5, 0), clock(15, 56, 0), true},
		{clock(15, 0, 0), clock(18, 0, 0), true}, // from rollups
		{clock(15, 6, 0), clock(15, 56, 0), false},
		{clock(16, 0, 0), clock(19, 0, 0), false},
	} {
		idle, ok := topOf(t, s, machineID, window.from, window.to)[9]
		if ok != window.want || ok && (deref(idle.MemoryMax) != 64<<30 || idle.CPUTime != nil) {
			t.Errorf("(%s, %s]: %+v (%v), want %v", window.from, window.to, idle, ok, window.want)
		}
	}
}

// windowOfHoursBetweenSnapshots: the interval of a machine can be longer than a window of hours.
func windowOfHoursBetweenSnapshots(t *testing.T, s *store.Store, machineID string) {
	const interval = 6 * time.Hour
	burn := entry(7, "burn", interval.Milliseconds(), 64<<30)
	storetest.Write(t, s, machineID, full(clock(1, 0, 0), interval, burn), full(clock(7, 0, 0), interval, burn),
		full(clock(13, 0, 0), interval, burn))
	for _, to := range []snapshot.Time{clock(9, 0, 0), clock(9, 0, 0).Add(30 * time.Minute), clock(12, 0, 0)} {
		if got, ok := topOf(t, s, machineID, clock(8, 0, 0), to)[7]; !ok || deref(got.MemoryMax) != 64<<30 {
			t.Errorf("until %s: %+v (%v), want 64 GiB", to, got, ok)
		}
	}
}

func trendOfANewProcess(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	for minute := range 61 {
		one := full(clock(14, minute, 0), time.Minute, entry(1, "init", 60, 1<<20))
		young, younger := entry(7, "young", 60_000, 1<<20), entry(8, "younger", 60_000, 1<<20)
		if young.StartedAt = clock(14, 10, 30); minute >= 11 {
			if minute == 11 {
				young.CPUTime = new(snapshot.CPUTime(30_000_000))
			}
			one.Processes = append(one.Processes, young)
		}
		if younger.StartedAt = clock(14, 40, 0); minute >= 41 {
			one.Processes = append(one.Processes, younger)
		}
		list = append(list, one)
	}
	storetest.Write(t, s, machineID, list...)
	for _, window := range []struct {
		from, to       snapshot.Time
		young, younger int // the parts before they started
	}{
		{clock(14, 0, 0), clock(15, 0, 0), 10, 40},
		{clock(14, 30, 0), clock(15, 0, 0), 0, 20},
		{clock(14, 10, 0), clock(14, 30, 0), 1, query.TrendPoints},
		{clock(14, 10, 20), clock(14, 10, 50), 20, query.TrendPoints},
	} {
		trends, err := s.ProcessTrends(t.Context(), machineID, window.from, window.to)
		if err != nil || len(trends) < 2 {
			t.Fatalf("%+v, %v", trends, err)
		}
		for k, one := range trends {
			begin := []int{0, window.young, window.younger}[k]
			for part, usage := range one.CPUUsage {
				want := []float64{0.1, 100, 100}[k]
				if part < begin && usage != nil || part >= begin && math.Abs(deref(usage)-want) > 0.01 {
					t.Errorf("(%s, %s], %v, part %d: %v, want %g from part %d on", window.from, window.to, one.Key,
						part, deref(usage), want, begin)
				}
			}
		}
	}
}

// edgesOfTrends: a process at one core has 100 % in each part of a trend in which it lived, wherever the window ends in
// the interval of its first or last sample, and nothing in the others.
func edgesOfTrends(t *testing.T, s *store.Store, machineID string) {
	started, ended := clock(14, 9, 55), clock(14, 40, 0)
	var list []snapshot.Snapshot
	for minute := range 61 {
		at := clock(14, minute, 0)
		one := full(at, time.Minute, entry(1, "init", 60, 1<<20))
		if at <= ended {
			one.Processes = append(one.Processes, entry(8, "other", 60_000, 1<<20))
		} else if minute == 41 { // the end of the other one, with an interval that is not quite exact
			one = changes(at, time.Minute+3*time.Millisecond)
			one.Exited = []snapshot.ProcessKey{{PID: 8, StartedAt: clock(1, 0, 0)}}
		}
		p := entry(7, "busy", min(at.Sub(started), time.Minute).Milliseconds(), 1<<20)
		if p.StartedAt = started; at > started && at <= ended {
			if at == ended {
				p.State = snapshot.StateEnded
			}
			one.Processes = append(one.Processes, p)
		}
		list = append(list, one)
	}
	storetest.Write(t, s, machineID, list...)
	for _, window := range [][2]snapshot.Time{
		{started.Add(-time.Hour + time.Millisecond), started.Add(time.Millisecond)},
		{started.Add(-time.Hour + time.Second), started.Add(time.Second)},
		{started.Add(time.Second), started.Add(4 * time.Minute)},
		{started.Add(time.Second), started.Add(10 * time.Minute)},
		{started.Add(-time.Second), started.Add(5 * time.Second)},
		{started, started.Add(time.Hour)},
		{ended.Add(-90 * time.Second), ended.Add(30 * time.Second)},
		{clock(14, 0, 0), clock(15, 0, 0)},
	} {
		trends, err := s.ProcessTrends(t.Context(), machineID, window[0], window[1])
		if err != nil {
			t.Fatal(err)
		}
		width := window[1].Sub(window[0]) / query.TrendPoints
		for _, one := range trends {
			if one.Key.PID == 1 {
				continue
			}
			for part, usage := range one.CPUUsage {
				begin := window[0].Add(time.Duration(part) * width)
				lived := min(begin.Add(width), ended).Sub(max(begin, started))
				if one.Key.PID == 8 {
					lived = min(begin.Add(width), ended).Sub(max(begin, clock(13, 59, 0)))
				}
				if lived <= 0 && usage != nil || lived >= time.Millisecond && math.Abs(deref(usage)-100) > 0.2 {
					t.Errorf("(%s, %s], part %d: %s %%, it lived %s",
						window[0], window[1], part, showNumber(usage), lived)
				}
			}
		}
		if !slices.ContainsFunc(trends, func(one query.ProcessTrend) bool { return one.Key.PID == 7 }) {
			t.Errorf("(%s, %s]: it has no trend", window[0], window[1])
		}
	}
}

func sampleOfANewProcess(t *testing.T, s *store.Store, machineID string) {
	young := entry(7, "young", 30_000, 1<<20)
	young.StartedAt = clock(14, 10, 30)
	storetest.Write(t, s, machineID, full(clock(14, 10, 0), time.Minute, entry(1, "init", 0, 1<<20)),
		full(clock(14, 11, 0), time.Minute, young), full(clock(14, 12, 0), time.Minute, young))
	lifetime, err := s.ProcessLifetime(t.Context(), machineID, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	points, _, err := s.ProcessHistory(
		t.Context(), machineID, lifetime, clock(14, 10, 0), clock(14, 12, 0), query.ResolutionRaw, 10)
	if err != nil || len(points) != 2 || points[0].ElapsedMS != 30_000 || points[1].ElapsedMS != 60_000 {
		t.Errorf("%+v, %v", points, err)
	}
}

func idleProcessHistory(t *testing.T, s *store.Store, machineID string) {
	list := []snapshot.Snapshot{
		full(clock(14, 13, 0), 10*time.Second, entry(1, "init", 0, 1<<20), entry(66, "idle", 20, 9<<30)),
	}
	for second := 10; second <= 50; second += 10 {
		list = append(list, changes(clock(14, 13, second), 10*time.Second, entry(1, "init", 10, 1<<20)))
	}
	list[5].Exited = []snapshot.ProcessKey{{PID: 66, StartedAt: clock(1, 0, 0)}}
	storetest.Write(t, s, machineID, list...)
	lifetime, err := s.ProcessLifetime(t.Context(), machineID, 66, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, window := range []struct {
		from, to snapshot.Time
		want     []string
	}{
		{clock(14, 12, 0), clock(14, 13, 0), []string{"14:13:00 S 20 in 10000"}},
		{clock(14, 13, 0), clock(14, 13, 9), nil},
		{clock(14, 13, 15), clock(14, 13, 40), []string{"14:13:20 S 0 in 10000", "14:13:40 S 0 in 10000"}},
		{clock(14, 13, 15), clock(14, 13, 29), []string{"14:13:20 S 0 in 10000"}},
		{clock(14, 13, 15), clock(14, 13, 50), []string{"14:13:20 S 0 in 10000", "14:13:50 exited - in 10000"}},
		{clock(14, 13, 50), clock(14, 20, 0), nil},
	} {
		points, more, err := s.ProcessHistory(
			t.Context(), machineID, lifetime, window.from, window.to, query.ResolutionRaw, 10)
		if err != nil || more {
			t.Fatal(more, err)
		}
		var got []string
		for _, p := range points {
			cpu := "-"
			if p.CPUTime != nil {
				cpu = fmt.Sprint(p.CPUTime.Milliseconds())
			}
			got = append(got, fmt.Sprintf(
				"%s %s %s in %d", p.Timestamp.Std().Format(time.TimeOnly), p.State, cpu, p.ElapsedMS))
			if p.State != "exited" && deref(p.MemoryMax) != 9<<30 {
				t.Errorf("memory of %+v, want 9 GiB", p)
			}
		}
		if !slices.Equal(got, window.want) {
			t.Errorf("%s to %s: %q, want %q", window.from, window.to, got, window.want)
		}
	}
}

func levelAtStart(t *testing.T, s *store.Store, machineID string) {
	threads := func(s snapshot.ProcessSample, n int32) snapshot.ProcessSample {
		s.Threads = &n
		return s
	}
	storetest.Write(t, s, machineID,
		full(clock(14, 0, 10), 5*time.Second, threads(entry(5, "java", 0, 1<<20), 20)),
		changes(clock(14, 0, 15), 5*time.Second, threads(entry(5, "java", 0, 1<<20), 16)),
		changes(clock(14, 0, 20), 5*time.Second, threads(entry(5, "java", 0, 1<<20), 16)),
		changes(clock(14, 0, 25), 5*time.Second, threads(entry(5, "java", 0, 1<<20), 16)))
	used := topOf(t, s, machineID, clock(14, 0, 13), clock(14, 0, 26))[5]
	if deref(used.ThreadsMax) != 20 {
		t.Errorf("%d threads at most, want 20", deref(used.ThreadsMax))
	}
}

// A sample at 14:05 that covers a minute is in 14:00 to 14:05, and not in 14:05 to 14:10.
func minuteOfCPU(t *testing.T, s *store.Store, machineID string) {
	storetest.Write(t, s, machineID,
		full(clock(14, 4, 0), time.Minute, entry(5, "sh", 0, 1<<20)),
		withCPU(full(clock(14, 5, 0), time.Minute, entry(5, "sh", 60_000, 1<<20)), 50),
		full(clock(14, 6, 0), time.Minute, entry(5, "sh", 0, 1<<20)),
		full(clock(14, 12, 0), time.Minute, entry(5, "sh", 0, 1<<20)))
	ctx := t.Context()
	lifetime, err := s.ProcessLifetime(ctx, machineID, 5, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, window := range []struct {
		from, to snapshot.Time
		want     int64
	}{{clock(14, 0, 0), clock(14, 5, 0), 60_000}, {clock(14, 5, 0), clock(14, 10, 0), 0}} {
		what := fmt.Sprintf("%s to %s", window.from, window.to)
		got := map[string]int64{"top": msOf(topOf(t, s, machineID, window.from, window.to)[5].CPUTime)}
		trends, err := s.ProcessTrends(ctx, machineID, window.from, window.to)
		if err != nil {
			t.Fatal(err)
		}
		got["trends"] = 0
		for _, trend := range trends {
			var sum float64
			for _, usage := range trend.CPUUsage {
				sum += deref(usage)
			}
			got["trends"] += int64(math.Round(sum * 50)) // of five seconds
		}
		points, _, err := s.ProcessHistory(
			ctx, machineID, lifetime, window.from, window.to, query.ResolutionRaw, 100)
		if err != nil {
			t.Fatal(err)
		}
		history, err := s.NameHistory(
			ctx, query.AllMachines(), machineID, "sh", window.from, window.to, query.ResolutionMinute, 100)
		minutes := history.Points
		if err != nil {
			t.Fatal(err)
		}
		got["history"], got["name"] = 0, 0
		for _, p := range points {
			got["history"] += msOf(p.CPUTime)
		}
		for _, p := range minutes {
			got["name"] += msOf(p.CPUTime)
		}
		diff, err := s.Diff(ctx, machineID, max(window.from, clock(14, 4, 0)), window.to, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range diff.Changes {
			if change.Used != nil {
				got["diff"] += msOf(change.Used.CPUTime)
			}
		}
		chart := chartOf(t, s, machineID, window.from, window.to, query.ResolutionMinute)
		for i := range chart.Timestamps {
			if chart.CPUUsageAvg[i] != nil {
				got["metrics"] += int64(*chart.CPUUsageAvg[i] * 1200) // 50 % of a minute on two cores
			}
		}
		for route, ms := range got {
			if ms != window.want {
				t.Errorf("%s: %s has %d ms, want %d", what, route, ms, window.want)
			}
		}
	}
}

func shortLife(t *testing.T, s *store.Store, machineID string) {
	list := []snapshot.Snapshot{}
	for second := 1; second <= 10; second++ {
		processes := []snapshot.ProcessSample{entry(1, "init", 0, 1<<20)}
		if second == 5 || second == 6 {
			short := entry(7, "short", 500, 1<<20)
			short.StartedAt = clock(14, 0, 4)
			processes = append(processes, short)
		}
		list = append(list, full(clock(14, 0, second), time.Second, processes...))
	}
	storetest.Write(t, s, machineID, list...)
	lifetime, err := s.ProcessLifetime(t.Context(), machineID, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	points, _, err := s.ProcessHistory(
		t.Context(), machineID, lifetime, clock(14, 0, 0), clock(15, 0, 0), query.ResolutionHour, 10)
	if err != nil || len(points) != 1 || msOf(points[0].CPUTime) != 1000 || points[0].ElapsedMS != 2000 {
		t.Errorf("%+v (%v), want a second of CPU in two", points, err)
	}
}

func runningHour(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	for second := 5; second <= 105; second += 5 {
		list = append(list, full(clock(14, 0, second), 5*time.Second, entry(5, "busy", 5000, 1<<20)))
	}
	storetest.Write(t, s, machineID, list...)
	lifetime, err := s.ProcessLifetime(t.Context(), machineID, 5, 0)
	if err != nil {
		t.Fatal(err)
	}
	points, _, err := s.ProcessHistory(
		t.Context(), machineID, lifetime, clock(14, 0, 0), clock(14, 1, 45), query.ResolutionHour, 10)
	if err != nil || len(points) != 1 || msOf(points[0].CPUTime) != 105_000 || points[0].ElapsedMS != 105_000 {
		t.Errorf("%+v (%v), want 105 s of CPU in 105 s", points, err)
	}
	history, err := s.NameHistory(t.Context(), query.AllMachines(), machineID, "busy", clock(14, 0, 0),
		clock(14, 1, 45), query.ResolutionHour, 10)
	named := history.Points
	if err != nil || len(named) != 1 || named[0].ElapsedMS != 105_000 || deref(named[0].RunningAvg) != 1 {
		t.Errorf("%+v (%v), want one process in 105 s", named, err)
	}
}

func windowsAtLateSnapshot(t *testing.T, s *store.Store, machineID string) {
	storetest.Write(t, s, machineID,
		full(clock(14, 0, 10), 10*time.Second, entry(5, "java", 0, 9<<30)),
		changes(clock(14, 0, 20), 10*time.Second), changes(clock(14, 0, 30), 10*time.Second),
		changes(clock(14, 0, 40), 10*time.Second, entry(5, "java", 0, 1<<30)),
		changes(clock(14, 0, 50), 10*time.Second),
		full(clock(14, 0, 60), 10*time.Second, entry(5, "java", 0, 1<<30)),
		full(clock(14, 0, 70), 10*time.Second, entry(5, "java", 0, 1<<30)))
	storetest.Write(t, s, machineID, full(clock(14, 0, 55), 0, entry(5, "java", 0, 1<<30)))
	wantNear(t, "the average until after it", topOf(t, s, machineID, clock(14, 0, 0), clock(14, 0, 57))[5].MemoryAvg,
		(30*(9<<30)+20*(1<<30))/50.0)
	wantNear(t, "the average from then on",
		topOf(t, s, machineID, clock(14, 0, 57), clock(14, 2, 0))[5].MemoryAvg, 1<<30)
}
