package query_test

import (
	"context"
	"errors"
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

// caseDay is the day of the cases below.
var caseDay = time.Now().UTC().Truncate(24 * time.Hour).Add(-48 * time.Hour)

// clock returns a time of caseDay.
func clock(hour, minute, second int) snapshot.Time {
	return snapshot.TimeOf(caseDay.Add(
		time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second))
}

// numbersCase is a small series with known totals.
type numbersCase struct {
	name string
	// now is the store's clock, zero for the real one.
	now snapshot.Time
	run func(t *testing.T, s *store.Store, machineID string)
}

func TestNumbersOfSmallSeries(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		for i, c := range []numbersCase{
			{"an idle process is in the list of a window that begins after its sample", 0, idleProcessInWindow},
			{"the history of an idle process begins and ends with its state", 0, idleProcessHistory},
			{"maxima include the level at the start of a window", 0, levelAtStart},
			{"average memory of sparse samples", 0, averageMemory},
			{"average CPU of mixed intervals", 0, averageCPU},
			{"rates after a gap", 0, rateAfterGap},
			{"a minute of CPU is in the windows that contain it", 0, minuteOfCPU},
			{"a process that lives two seconds", 0, shortLife},
			{"the running hour divides by what has passed", clock(14, 1, 45), runningHour},
			{"a late snapshot without an interval", 0, lateWithoutInterval},
			{"a late snapshot before one that continues its predecessor", 0, lateBeforeContinuation},
			{"windows that begin or end at a late snapshot", 0, windowsAtLateSnapshot},
			{"a process with 600 identities", 0, manyIdentities},
			{"amounts that no machine can reach", 0, impossibleAmounts},
			{"a window that begins at a snapshot with an unknown interval", 0, startBeforeEnd},
			{"a late snapshot before a long interval", 0, lateBeforeLongInterval},
			{"a process that starts before a gap", 0, startedBeforeGap},
			{"the running hour of all machines ends now", clock(14, 15, 0), runningHourOfFleet},
			{"a name on machines with different measured times", 0, nameOnTwoMachines},
			{"a trend spreads a sample over its interval and is empty in gaps", 0, sparseTrend},
			{"a trend of a process at one core is 100 % at every interval", 0, steadyTrend},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := db.Open(t, func(cfg *store.Config) {
					if c.now != 0 {
						cfg.Now = func() time.Time { return c.now.Std() }
					}
				})
				c.run(t, s, fmt.Sprintf("numbers-%d", i))
			})
		}
	})
}

// entry returns the entry of a process in a snapshot. Values that are negative are unknown.
func entry(pid int32, name string, cpuMS, memory int64) snapshot.ProcessSample {
	sample := snapshot.ProcessSample{PID: pid, StartedAt: clock(1, 0, 0), PPID: new(int32(1)), Name: name, State: "S"}
	if cpuMS >= 0 {
		sample.CPUMS = &cpuMS
	}
	if memory >= 0 {
		sample.MemoryUsage = &memory
	}
	return sample
}

// full returns a full snapshot.
func full(at snapshot.Time, interval time.Duration, processes ...snapshot.ProcessSample) snapshot.Snapshot {
	return snapshot.Snapshot{
		Timestamp: at, Kind: snapshot.KindFull, IntervalMS: interval.Milliseconds(), Processes: processes,
	}
}

// changes returns a snapshot of what changed.
func changes(at snapshot.Time, interval time.Duration, processes ...snapshot.ProcessSample) snapshot.Snapshot {
	s := full(at, interval, processes...)
	s.Kind = snapshot.KindChanges
	return s
}

// topOf returns the usage of each process of a machine in a window by pid.
func topOf(t *testing.T, s *store.Store, machineID string, from, to snapshot.Time) map[int32]query.Usage {
	t.Helper()
	list, _, err := s.Top(t.Context(), query.UsageQuery{
		MachineID: machineID, From: from, To: to, Order: query.ByMemory, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	byPID := make(map[int32]query.Usage)
	for _, u := range list {
		byPID[u.PID] = u
	}
	return byPID
}

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
	if !ok || deref(idle.MemoryMax) != 9<<30 || deref(idle.MemoryAvg) != 9<<30 || deref(idle.CPUMS) != 0 ||
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
			if p.CPUMS != nil {
				cpu = fmt.Sprint(*p.CPUMS)
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
		changes(clock(14, 0, 20), 5*time.Second), changes(clock(14, 0, 25), 5*time.Second))
	used := topOf(t, s, machineID, clock(14, 0, 13), clock(14, 0, 26))[5]
	if deref(used.ThreadsMax) != 20 {
		t.Errorf("%d threads at most, want 20", deref(used.ThreadsMax))
	}
}

// wantNear compares numbers within a factor of 0.001.
func wantNear(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > 0.001*want {
		t.Errorf("%s is %s, want %v", what, showNumber(got), want)
	}
}

func showNumber(v *float64) string {
	if v == nil {
		return "unknown"
	}
	return fmt.Sprint(*v)
}

func averageMemory(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	for second := 10; second <= 3600; second += 10 {
		at := clock(14, 0, second)
		switch second % 60 {
		case 10:
			list = append(list, full(at, 10*time.Second, entry(5, "java", 0, 1<<20)))
		case 20:
			list = append(list, changes(at, 10*time.Second, entry(5, "java", 0, 10<<30)))
		default:
			list = append(list, changes(at, 10*time.Second))
		}
	}
	storetest.Write(t, s, machineID, list...)
	const want = 8_948_023_296
	lifetime, err := s.ProcessLifetime(t.Context(), machineID, 5, 0)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		wantNear(t, "the average of the window "+when,
			topOf(t, s, machineID, clock(14, 0, 0), clock(15, 0, 0))[5].MemoryAvg, want)
		points, _, err := s.ProcessHistory(
			t.Context(), machineID, lifetime, clock(14, 0, 0), clock(15, 0, 0), query.ResolutionHour, 10)
		if err != nil || len(points) != 1 {
			t.Fatalf("%+v, %v", points, err)
		}
		wantNear(t, "the average of the hour "+when, points[0].MemoryAvg, want)
	}
	if err := s.CloseSilent(t.Context(), clock(20, 0, 0).Std()); err != nil {
		t.Fatal(err)
	}
	check("before it is rolled up")
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after that")
}

func withCPU(s snapshot.Snapshot, percent float64) snapshot.Snapshot {
	s.Machine.CPUUsage = &percent
	return s
}

// chartOf returns the chart of a machine between two times.
func chartOf(
	t *testing.T, s *store.Store, machineID string, from, to snapshot.Time, resolution query.Resolution,
) *query.MachineChart {
	t.Helper()
	chart, _, err := s.Chart(t.Context(), machineID, from, to, resolution, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return chart
}

func averageCPU(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	for minute := 1; minute <= 59; minute++ {
		list = append(list, withCPU(full(clock(14, minute-1, 60), time.Minute), 0))
	}
	for second := 1; second <= 59; second++ {
		list = append(list, withCPU(full(clock(14, 59, second), time.Second), 100))
	}
	storetest.Write(t, s, machineID, list...)
	chart := chartOf(t, s, machineID, clock(14, 0, 0), clock(15, 0, 0), query.ResolutionHour)
	if len(chart.Timestamps) != 1 || chart.Timestamps[0] != clock(14, 0, 0) || chart.IntervalMS[0] != 3_599_000 {
		t.Fatalf("%+v", chart)
	}
	wantNear(t, "the average of the hour", chart.CPUUsageAvg[0], 100.0*59/3599)
}

func rateAfterGap(t *testing.T, s *store.Store, machineID string) {
	received := func(s snapshot.Snapshot, bytes int64) snapshot.Snapshot {
		s.Machine.Interfaces = []snapshot.Interface{{Name: "eth0", ReceivedBytes: &bytes}}
		if s.IntervalMS == 0 {
			s.Machine.Interfaces[0].ReceivedBytes = nil
		}
		return s
	}
	storetest.Write(t, s, machineID,
		received(full(clock(15, 55, 45), time.Second), 100), received(full(clock(15, 55, 46), time.Second), 100),
		received(full(clock(16, 5, 56), 0), 0), received(full(clock(16, 5, 57), time.Second), 24_000_000))
	chart := chartOf(t, s, machineID, clock(16, 5, 0), clock(16, 6, 0), query.ResolutionMinute)
	if len(chart.Timestamps) != 1 || chart.IntervalMS[0] != 1000 || deref(chart.ReceivedBytes[0]) != 24_000_000 ||
		deref(chart.ReceivedMS[0]) != 1000 {
		t.Errorf("%d bytes in %d ms, want 24 MB in a second", deref(chart.ReceivedBytes[0]), chart.IntervalMS[0])
	}
	state, err := s.At(t.Context(), machineID, clock(16, 5, 56), false)
	if err != nil || state.IntervalMS != 0 {
		t.Errorf("the interval after the gap is %d ms (%v), want 0, which is unknown", state.IntervalMS, err)
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
		got := map[string]int64{"top": deref(topOf(t, s, machineID, window.from, window.to)[5].CPUMS)}
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
		minutes, _, _, err := s.NameHistory(
			ctx, query.AllMachines(), machineID, "sh", window.from, window.to, query.ResolutionMinute, 100)
		if err != nil {
			t.Fatal(err)
		}
		got["history"], got["name"] = 0, 0
		for _, p := range points {
			got["history"] += deref(p.CPUMS)
		}
		for _, p := range minutes {
			got["name"] += deref(p.CPUMS)
		}
		diff, err := s.Diff(ctx, machineID, max(window.from, clock(14, 4, 0)), window.to)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range diff.Changes {
			if change.Used != nil {
				got["diff"] += deref(change.Used.CPUMS)
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
	if err != nil || len(points) != 1 || deref(points[0].CPUMS) != 1000 || points[0].ElapsedMS != 2000 {
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
	if err != nil || len(points) != 1 || deref(points[0].CPUMS) != 105_000 || points[0].ElapsedMS != 105_000 {
		t.Errorf("%+v (%v), want 105 s of CPU in 105 s", points, err)
	}
	named, _, _, err := s.NameHistory(t.Context(), query.AllMachines(), machineID, "busy", clock(14, 0, 0),
		clock(14, 1, 45), query.ResolutionHour, 10)
	if err != nil || len(named) != 1 || named[0].ElapsedMS != 105_000 || deref(named[0].RunningAvg) != 1 {
		t.Errorf("%+v (%v), want one process in 105 s", named, err)
	}
}

func lateWithoutInterval(t *testing.T, s *store.Store, machineID string) {
	half := func(second int) snapshot.Snapshot {
		busy := entry(5, "busy", -1, 1<<20)
		busy.CPUUsage = new(50.0)
		return withCPU(full(clock(14, 0, second), 0, busy), 25)
	}
	for _, second := range []int{0, 60, 50, 30, 40, 20} {
		storetest.Write(t, s, machineID, half(second))
	}
	used := topOf(t, s, machineID, clock(14, 0, 0), clock(14, 1, 0))[5]
	if deref(used.CPUMS) != 30_000 {
		t.Errorf("%d ms of CPU in a minute, want 30,000", deref(used.CPUMS))
	}
	chart := chartOf(t, s, machineID, clock(14, 0, 0), clock(14, 1, 0), query.ResolutionMinute)
	if len(chart.Timestamps) != 1 || chart.IntervalMS[0] != 60_000 || deref(chart.CPUUsageAvg[0]) != 25 {
		t.Errorf("%+v, want 25 %% in 60 s", chart)
	}
}

func manyIdentities(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	for i := range 600 {
		changing := entry(5, "worker", 10, 1<<20)
		changing.CommandLine = fmt.Sprintf("worker: request %d", i)
		list = append(list, changes(clock(14, 0, 0).Add(time.Duration(i+1)*time.Second), time.Second, changing))
	}
	list[0].Kind = snapshot.KindFull
	for pid := range int32(200) {
		list[0].Processes = append(list[0].Processes, entry(1000+pid, "other", 20, 1<<20))
	}
	storetest.Write(t, s, machineID, list...)
	for _, limit := range []int{1, 20, 200} {
		top, _, err := s.Top(t.Context(), query.UsageQuery{
			MachineID: machineID, From: clock(14, 0, 0), To: clock(14, 11, 0), Order: query.ByCPU, Limit: limit})
		if err != nil || len(top) != limit || top[0].PID != 5 || deref(top[0].CPUMS) != 6000 {
			t.Errorf("the first of %d is %+v (%v), want pid 5 with 6,000 ms", limit, top[0], err)
		}
	}
}

func impossibleAmounts(t *testing.T, s *store.Store, machineID string) {
	refused := func(what string, one snapshot.Snapshot, field string) {
		t.Helper()
		outcome := s.Write(context.Background(), []*snapshot.Batch{
			{MachineID: machineID, Snapshots: []snapshot.Snapshot{one}}})[0]
		invalid, ok := errors.AsType[*snapshot.ValidationError](outcome.Err)
		if !ok || invalid.Field != field || invalid.Limit == 0 {
			t.Errorf("%s: %v, want an error about %s", what, outcome.Err, field)
		}
	}
	refused("CPU time", full(clock(14, 0, 1), time.Second, entry(5, "postgres", snapshot.MaxSafeInteger, 0)),
		"snapshots[0].processes[0].cpu_ms")
	writes := entry(5, "postgres", 0, 0)
	writes.WriteBytes = new(int64(snapshot.MaxSafeInteger))
	refused("bytes", full(clock(14, 0, 1), time.Second, writes), "snapshots[0].processes[0].write_bytes")
	disks := full(clock(14, 0, 1), time.Second)
	disks.Machine.Disks = []snapshot.Disk{{Mount: "/", ReadBytes: new(int64(snapshot.MaxSafeInteger))}}
	refused("a disk", disks, "snapshots[0].machine_snapshot.disks[0].read_bytes")
	disks.Machine = snapshot.MachineSnapshot{
		Interfaces: []snapshot.Interface{{Name: "eth0", SentBytes: new(int64(snapshot.MaxSafeInteger))}}}
	refused("an interface", disks, "snapshots[0].machine_snapshot.interfaces[0].sent_bytes")

	// Amounts that are possible in a day do not overflow the sums, however many there are.
	var list []snapshot.Snapshot
	for second := 1; second <= 1100; second++ {
		one := full(clock(14, 0, second), 24*time.Hour, entry(5, "postgres", 1000, 1<<20))
		for disk := range 10 {
			one.Machine.Disks = append(one.Machine.Disks,
				snapshot.Disk{Mount: fmt.Sprint("/", disk), ReadBytes: new(int64(snapshot.MaxSafeInteger))})
		}
		list = append(list, one)
	}
	storetest.Write(t, s, machineID, list[:1000]...)
	storetest.Write(t, s, machineID, list[1000:]...)
	storetest.Write(t, s, machineID+"-other", full(clock(14, 0, 1), time.Second, entry(5, "postgres", 500, 1<<20)))
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, resolution := range []query.Resolution{query.ResolutionMinute, query.ResolutionHour, query.ResolutionDay} {
		chart := chartOf(t, s, machineID, clock(0, 0, 0), clock(24, 0, 0), resolution)
		if len(chart.Timestamps) == 0 ||
			resolution != query.ResolutionMinute && deref(chart.ReadBytes[0]) != math.MaxInt64 {
			t.Errorf("%s: %d points, %d bytes", resolution, len(chart.Timestamps), deref(chart.ReadBytes[0]))
		}
		other := chartOf(t, s, machineID+"-other", clock(0, 0, 0), clock(24, 0, 0), resolution)
		if len(other.Timestamps) != 1 {
			t.Errorf("%s: the chart of the other machine has %d points", resolution, len(other.Timestamps))
		}
	}
	if _, _, err := s.Top(t.Context(), query.UsageQuery{View: query.AllMachines(), From: clock(0, 0, 0),
		To: clock(24, 0, 0), ByName: true, Limit: 10}); err != nil {
		t.Error(err)
	}
}

func sparseTrend(t *testing.T, s *store.Store, machineID string) {
	storetest.Write(t, s, machineID,
		full(clock(14, 1, 0), time.Minute, entry(5, "sh", 30_000, 1<<20)),
		full(clock(14, 9, 0), 0, entry(5, "sh", -1, 1<<20)),
		full(clock(14, 10, 0), time.Minute, entry(5, "sh", 0, 1<<20)))
	trends, err := s.ProcessTrends(t.Context(), machineID, clock(14, 0, 0), clock(14, 10, 0))
	if err != nil || len(trends) != 1 {
		t.Fatalf("%+v, %v", trends, err)
	}
	for part, usage := range trends[0].CPUUsage { // of ten seconds
		switch {
		case part < 6:
			wantNear(t, fmt.Sprintf("part %d", part), usage, 50)
		case part < 54 && usage != nil:
			t.Errorf("part %d, in the gap, has %v %%", part, *usage)
		case part >= 54 && (usage == nil || *usage != 0):
			t.Errorf("part %d is %s, want 0", part, showNumber(usage))
		}
	}
}

func steadyTrend(t *testing.T, s *store.Store, machineID string) {
	for _, every := range []int64{700, 1000, 3000, 5003, 7000, 9999, 10_000, 13_000} {
		id := fmt.Sprintf("%s-%d", machineID, every)
		var list []snapshot.Snapshot
		for at := clock(14, 0, 0); at <= clock(14, 10, 0); at = at.Add(time.Duration(every) * time.Millisecond) {
			list = append(list, full(at, time.Duration(every)*time.Millisecond, entry(5, "burn", every, 1<<20)))
		}
		storetest.Write(t, s, id, list...)
		// The last part may be measured only at its start.
		trends, err := s.ProcessTrends(t.Context(), id, clock(14, 0, 0), clock(14, 10, 0))
		if err != nil || len(trends) != 1 {
			t.Fatalf("every %d ms: %+v, %v", every, trends, err)
		}
		for part, usage := range trends[0].CPUUsage {
			if part < query.TrendPoints-2 || usage != nil {
				wantNear(t, fmt.Sprintf("every %d ms, part %d", every, part), usage, 100)
			}
		}
	}
}

// The next full snapshot already accounts for the time since the last row of an idle process.
func lateBeforeContinuation(t *testing.T, s *store.Store, machineID string) {
	storetest.Write(t, s, machineID,
		full(clock(14, 0, 5), 5*time.Second, entry(5, "java", 0, 8<<30)),
		changes(clock(14, 5, 0), 295*time.Second),
		full(clock(14, 5, 5), 5*time.Second, entry(5, "java", 0, 1<<30)))
	storetest.Write(t, s, machineID, full(clock(14, 5, 0)+50, 0, entry(5, "java", 0, 1<<30)))
	wantNear(t, "the average", topOf(t, s, machineID, clock(14, 0, 0), clock(14, 10, 0))[5].MemoryAvg,
		(300*(8<<30)+5*(1<<30))/305.0)
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
