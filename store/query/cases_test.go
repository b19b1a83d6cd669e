package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

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
			{"a window between two snapshots has the processes that ran in it", 0, windowBetweenSnapshots},
			{"a window that begins before a gap has the processes at its start", 0, windowBeforeGap},
			{"hours between two snapshots have the processes at their start", 0, windowOfHoursBetweenSnapshots},
			{"a trend begins with the process", 0, trendOfANewProcess},
			{"a trend begins and ends with the process wherever the window does", 0, edgesOfTrends},
			{"the interval of a sample begins with the process", 0, sampleOfANewProcess},
			{"the history of an idle process begins and ends with its state", 0, idleProcessHistory},
			{"maxima include the level at the start of a window", 0, levelAtStart},
			{"a window that is read from rollups begins with the state at its start", 0, startOfRollups},
			{"windows of every length begin with the same state before late snapshots", 0, startBeforeLateSnapshots},
			{"average memory of sparse samples", 0, averageMemory},
			{"memory of an hour that was only known in no time", 0, memoryWithoutTime},
			{"a minute in which the CPU time of a process is unknown", 0, unknownCPU},
			{"average CPU of mixed intervals", 0, averageCPU},
			{"rates after a gap", 0, rateAfterGap},
			{"a minute of CPU is in the windows that contain it", 0, minuteOfCPU},
			{"a process that lives two seconds", 0, shortLife},
			{"the running hour divides by what has passed", clock(14, 1, 45), runningHour},
			{"a late snapshot without an interval", 0, lateWithoutInterval},
			{"late snapshots inside an interval count nothing twice", 0, lateInsideInterval},
			{"a late snapshot before one that continues its predecessor", 0, lateBeforeContinuation},
			{"windows that begin or end at a late snapshot", 0, windowsAtLateSnapshot},
			{"a process with 600 identities", 0, manyIdentities},
			{"a window that begins at a snapshot with an unknown interval", 0, startBeforeEnd},
			{"an hour without snapshots before those that are read from samples", clock(17, 10, 0), startOfLastHours},
			{"a late snapshot before a long interval", 0, lateBeforeLongInterval},
			{"a process that starts before a gap", 0, startedBeforeGap},
			{"the running hour of all machines ends now", clock(14, 15, 0), runningHourOfFleet},
			{"a name on machines with different measured times", 0, nameOnTwoMachines},
			{"a name on a machine with a gap", 0, nameOnMachineWithGap},
			{"a name on a machine that is away", 0, nameOnMachineThatIsAway},
			{"a name on a machine with later first data", 0, nameOnLaterMachine},
			{"a name on machines that were measured in a part of an hour", 0, nameInPartOfHours},
			{"a name between snapshots with long intervals", 0, nameBetweenSnapshots},
			{"a name with processes of unknown usage", 0, nameOfUnknownUsage},
			{"a name in the running hour", clock(14, 45, 0), nameInRunningHour},
			{"a name on machines with intervals longer than a minute", 0, nameOfLongIntervals},
			{"a restarted agent does not measure the time before its first snapshot", 0, restartedAgent},
			{"timestamps at half speed after a clock was set back", 0, clockSetBack},
			{"a trend spreads a sample over its interval and is empty in gaps", 0, sparseTrend},
			{"a trend is empty where the CPU time of a process is unknown", 0, unknownTrend},
			{"a trend of a process at one core is 100 % at every interval", 0, steadyTrend},
			{"a trend that ends inside an interval contains its part", 0, endOfTrend},
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
	beforeAndAfterRollups(t, s, check)
}

// unknownCPU: the amounts of one sample are unknown, so those of its minute are, in all reads.
func unknownCPU(t *testing.T, s *store.Store, machineID string) {
	for minute := 1; minute <= 4; minute++ {
		one := entry(5, "java", 60_000, 100)
		if minute == 3 {
			one = entry(5, "java", -1, 100)
		}
		storetest.Write(t, s, machineID, full(clock(14, minute, 0), time.Minute, one))
	}
	if one := topOf(t, s, machineID, clock(14, 2, 0), clock(14, 3, 0))[5]; one.CPUTime != nil || one.CPUUsage != nil {
		t.Errorf("the list has %d ms, %s %%", msOf(one.CPUTime), showNumber(one.CPUUsage))
	}
	history, err := s.NameHistory(t.Context(), query.AllMachines(), machineID, "java", clock(14, 2, 0),
		clock(14, 3, 0), query.ResolutionMinute, 10)
	points := history.Points
	if err != nil || len(points) != 1 || points[0].CPUTime != nil {
		t.Errorf("the history of the name has %+v, %v", points, err)
	}
}

// memoryWithoutTime: in the second hour, memory is only known in a snapshot without an interval. The hour has that
// value, but it has no weight in the average of both.
func memoryWithoutTime(t *testing.T, s *store.Store, machineID string) {
	ended := entry(5, "java", 0, -1)
	ended.State = "X"
	storetest.Write(t, s, machineID,
		full(clock(14, 0, 10), 10*time.Second, entry(5, "java", 0, 100)),
		full(clock(14, 0, 20), 10*time.Second, entry(5, "java", 0, 100)),
		full(clock(15, 30, 0), 0, entry(5, "java", -1, 900)),
		full(clock(15, 30, 10), 10*time.Second, ended))
	check := func(when string) {
		t.Helper()
		wantNear(t, "the average of both hours "+when,
			topOf(t, s, machineID, clock(13, 0, 0), clock(16, 0, 0))[5].MemoryAvg, 100)
		wantNear(t, "the average of the second hour "+when,
			topOf(t, s, machineID, clock(15, 0, 0), clock(16, 0, 0))[5].MemoryAvg, 900)
	}
	beforeAndAfterRollups(t, s, check)
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

func lateWithoutInterval(t *testing.T, s *store.Store, machineID string) {
	half := func(second int) snapshot.Snapshot {
		busy := entry(5, "busy", -1, 1<<20)
		busy.CPUUsage = new(50.0)
		return withCPU(full(clock(14, 0, second), 0, busy), 25)
	}
	storetest.Write(t, s, machineID, half(0))
	for _, second := range []int{60, 30, 50, 40, 20} {
		storetest.Write(t, s, machineID, half(second))
		used := topOf(t, s, machineID, clock(14, 0, 0), clock(14, 1, 0))[5]
		if msOf(used.CPUTime) != 30_000 || deref(used.CPUUsage) != 50 {
			t.Errorf("with %d s: %d ms of CPU in a minute, %s %%, want 30,000 and 50 %%",
				second, msOf(used.CPUTime), showNumber(used.CPUUsage))
		}
		chart := chartOf(t, s, machineID, clock(14, 0, 0), clock(14, 1, 0), query.ResolutionMinute)
		if len(chart.Timestamps) != 1 || chart.IntervalMS[0] != 60_000 || deref(chart.CPUUsageAvg[0]) != 25 {
			t.Errorf("with %d s: %+v, want 25 %% in 60 s", second, chart)
		}
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
		if err != nil || len(top) != limit || top[0].PID != 5 || msOf(top[0].CPUTime) != 6000 {
			t.Errorf("the first of %d is %+v (%v), want pid 5 with 6,000 ms", limit, top[0], err)
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
