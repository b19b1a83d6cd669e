package query_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// namePoints returns the history of a name on all machines, and its resolution.
func namePoints(
	t *testing.T, s *store.Store, name string, from, to snapshot.Time, resolution query.Resolution,
) ([]query.ProcessPoint, query.Resolution) {
	t.Helper()
	history, err := s.NameHistory(t.Context(), query.AllMachines(), "", name, from, to, resolution, 1000)
	points, used := history.Points, history.Resolution
	if err != nil {
		t.Fatal(err)
	}
	return points, used
}

// nameOnMachineWithGap: one of two machines has no data for a part of some hours, and of a day. It was not measured
// then. The phase of an interval in a minute or an hour does not matter.
func nameOnMachineWithGap(t *testing.T, s *store.Store, machineID string) {
	const s13, m1, m5, m25 = 13 * time.Second, time.Minute, 5 * time.Minute, 25 * time.Minute
	for i, c := range []struct {
		every, phase time.Duration
		gap, length  time.Duration // after 10:00
		want         string        // of each hour
	}{
		{s13, 3 * time.Second, 65 * time.Minute, 110 * time.Minute, "2112"},
		{s13, 0, 70 * time.Minute, 4 * time.Minute, "2122"},
		{m1, 30 * time.Second, 65 * time.Minute, 110 * time.Minute, "2112"},
		{m1, 0, 100 * time.Minute, 40 * time.Minute, "2112"},
		{m1, 20 * time.Second, 130 * time.Minute, 200 * time.Minute, "2211"},
		{m5, 2 * time.Minute, 65 * time.Minute, 110 * time.Minute, "2112"},
		{m5, 0, 0, 0, "2222"},
		{m5, 299 * time.Second, 0, 0, "2222"},
		{m25, 7 * time.Minute, 0, 0, "2222"},
		{m25, 7 * time.Minute, 65 * time.Minute, 110 * time.Minute, "2112"},
	} {
		name := fmt.Sprintf("%s-%d", machineID, i)
		begin := clock(10, 0, 0)
		series := func(every, phase time.Duration) (list []snapshot.Snapshot) {
			var last snapshot.Time
			for at := begin.Add(phase); at <= clock(14, 0, 0); at = at.Add(every) {
				switch {
				case phase == c.phase && at > begin.Add(c.gap) && at <= begin.Add(c.gap+c.length):
				case last != 0 && last != at.Add(-every):
					list, last = append(list, full(at, 0, entry(5, name, -1, 1<<20))), at
				default:
					list, last = append(list, full(at, every, entry(5, name, every.Milliseconds(), 1<<20))), at
				}
			}
			return list
		}
		storetest.Write(t, s, name+"-whole", series(30*time.Second, 7*time.Second)...)
		storetest.Write(t, s, name+"-gap", series(c.every, c.phase)...)
		hours, _ := namePoints(t, s, name, begin, clock(14, 0, 0), query.ResolutionHour)
		var got string
		for _, p := range hours {
			got += fmt.Sprint(p.MachinesMeasured)
		}
		if got != c.want {
			t.Errorf("every %s from %s, gap of %s at %s: %s machines in each hour, want %s",
				c.every, c.phase, c.length, c.gap, got, c.want)
		}
		days, _ := namePoints(t, s, name, begin, clock(14, 0, 0), query.ResolutionDay)
		if want := min(1, int64(c.length/(12*time.Minute))); len(days) != 1 || days[0].MachinesMeasured != 2-want {
			t.Errorf("every %s from %s, gap of %s: %d machines on the day, want %d",
				c.every, c.phase, c.length, days[0].MachinesMeasured, 2-want)
		}
		if c.every > m1 {
			continue
		}
		minutes, used := namePoints(t, s, name, begin, begin.Add(time.Hour), query.ResolutionAuto)
		if len(minutes) != 60 || used != query.ResolutionMinute {
			t.Fatalf("%d points of %s", len(minutes), used)
		}
		for _, p := range minutes {
			if p.MachinesMeasured != 2 {
				t.Errorf("every %s from %s: %d machines in the minute from %s, want 2",
					c.every, c.phase, p.MachinesMeasured, p.Timestamp)
			}
		}
	}
}

// nameOnMachineThatIsAway: a name runs on one machine all the time, and briefly on another one. While the first one has
// no data, there are no points, and the history says that not all machines were measured.
func nameOnMachineThatIsAway(t *testing.T, s *store.Store, machineID string) {
	const away, back = 80, 181 // minutes after 9:00
	name, begin := machineID, clock(9, 0, 0)
	var brief, long []snapshot.Snapshot
	for i := range 240 {
		at := begin.Add(time.Duration(i)*time.Minute + 30*time.Second)
		if i < 65 {
			brief = append(brief, full(at, time.Minute, entry(5, name, 60_000, 1<<20)))
		} else {
			brief = append(brief, full(at, time.Minute, entry(1, "init", 0, 1<<20)))
		}
		switch {
		case i == back:
			long = append(long, full(at, 0, entry(5, name, -1, 1<<20)))
		case i < away || i > back:
			long = append(long, full(at, time.Minute, entry(5, name, 60_000, 1<<20)))
		}
	}
	storetest.Write(t, s, machineID+"-brief", brief...)
	storetest.Write(t, s, machineID+"-long", long...)
	for _, c := range []struct {
		resolution query.Resolution
		from, to   int // hours
		width      time.Duration
		begin, end int // minutes after 9:00
	}{
		{query.ResolutionMinute, 10, 12, time.Minute, away, 180},
		{query.ResolutionHour, 9, 13, time.Hour, 120, 180},
	} {
		history, err := s.NameHistory(t.Context(), query.AllMachines(), "", name, clock(c.from, 0, 0),
			clock(c.to, 0, 0), c.resolution, 1000)
		unmeasured := history.Unmeasured
		var want []query.UnmeasuredTime
		for at := begin.Add(time.Duration(c.begin) * time.Minute); at < begin.Add(
			time.Duration(c.end)*time.Minute); at = at.Add(c.width) {
			want = append(want, query.UnmeasuredTime{
				Timestamp: at, MachinesExpected: 2, MachinesMeasured: 1})
		}
		if err != nil || !slices.Equal(unmeasured, want) {
			t.Errorf("%s: %v, %v, want %v", c.resolution, unmeasured, err, want)
		}
	}
}

// nameBetweenSnapshots: a bucket without a snapshot is measured if the interval of the next one reaches back to it.
func nameBetweenSnapshots(t *testing.T, s *store.Store, machineID string) {
	for _, c := range []struct {
		every      time.Duration
		resolution query.Resolution
		to         int // hour
	}{
		{60_700 * time.Millisecond, query.ResolutionMinute, 11},
		{150 * time.Second, query.ResolutionMinute, 11},
		{3 * time.Hour, query.ResolutionHour, 22},
	} {
		name := fmt.Sprintf("%s-%s", machineID, c.every)
		var list []snapshot.Snapshot
		for at := clock(8, 7, 0); at <= clock(c.to, 0, 0).Add(c.every); at = at.Add(c.every) {
			list = append(list, full(at, c.every, entry(5, name, 10, 1<<20)))
		}
		storetest.Write(t, s, name, list...)
		history, err := s.NameHistory(t.Context(), query.AllMachines(), "", name, clock(9, 0, 0),
			clock(c.to, 0, 0), c.resolution, 1000)
		points, unmeasured := history.Points, history.Unmeasured
		if err != nil || len(points) == 0 || len(unmeasured) > 0 {
			t.Errorf("every %s: %d points, not measured at %v, %v", c.every, len(points), unmeasured, err)
		}
	}
}

// nameOfUnknownUsage: the sums of a name leave out the unknown CPU time and I/O of some processes, and count those.
func nameOfUnknownUsage(t *testing.T, s *store.Store, machineID string) {
	withIO := func(p snapshot.ProcessSample) snapshot.ProcessSample {
		p.ReadBytes, p.WriteBytes = new(int64(60_000)), new(int64(0))
		return p
	}
	series := func(processes ...snapshot.ProcessSample) (list []snapshot.Snapshot) {
		for at := clock(9, 59, 30); at < clock(14, 0, 0); at = at.Add(time.Minute) {
			list = append(list, full(at, time.Minute, processes...))
		}
		return list
	}
	name := machineID
	unreadable := withIO(entry(7, name, -1, 1<<20))
	unreadable.WriteBytes = nil
	storetest.Write(t, s, machineID+"-a", series(withIO(entry(5, name, 60_000, 1<<20)))...)
	storetest.Write(t, s, machineID+"-b",
		series(entry(5, name, -1, 1<<20), entry(6, name, 30_000, 1<<20), unreadable)...)
	for _, resolution := range []query.Resolution{
		query.ResolutionMinute, query.ResolutionHour, query.ResolutionThreeHours, query.ResolutionDay,
	} {
		points, _ := namePoints(t, s, name, clock(12, 0, 0), clock(13, 0, 0), resolution)
		if len(points) == 0 {
			t.Fatalf("%s: no points", resolution)
		}
		for _, p := range points {
			if p.Processes != 4 || p.UnknownCPU != 2 || p.UnknownIO != 3 ||
				2*msOf(p.CPUTime) != 3*p.ElapsedMS {
				t.Errorf("%s: CPU of %d, I/O of %d of %d processes is unknown, sum %d ms, want 2, 3 of 4, %d",
					resolution, p.UnknownCPU, p.UnknownIO, p.Processes, msOf(p.CPUTime), 3*p.ElapsedMS/2)
			}
		}
	}
	for _, from := range []snapshot.Time{clock(12, 0, 0), clock(10, 0, 0)} { // from samples, and from rollups
		for byName, want := range map[bool]int64{true: 2, false: 0} {
			list, _, err := s.Top(t.Context(), query.UsageQuery{
				MachineID: machineID + "-b", From: from, To: clock(13, 0, 0), Order: query.ByCPU, ByName: byName,
				Limit: 10})
			if err != nil || len(list) == 0 || list[0].UnknownCPU != want || list[0].UnknownIO != want*3/2 {
				t.Errorf("top from %s, by name %t: %+v, %v; want unknown CPU of %d", from, byName, list, err, want)
			}
		}
	}
}

// nameInRunningHour: a machine that stopped ten minutes ago was not measured in the running hour.
func nameInRunningHour(t *testing.T, s *store.Store, machineID string) {
	for id, minutes := range map[string]int{machineID: 45, machineID + "-stopped": 35, machineID + "-late": 44} {
		var list []snapshot.Snapshot
		for minute := 1; minute <= minutes; minute++ {
			list = append(list, full(clock(14, minute, 0), time.Minute, entry(5, machineID, 60_000, 1<<20)))
		}
		storetest.Write(t, s, id, list...)
	}
	points, _ := namePoints(t, s, machineID, clock(14, 0, 0), clock(14, 45, 0), query.ResolutionHour)
	if len(points) != 1 || points[0].Machines != 3 || points[0].MachinesMeasured != 2 {
		t.Errorf("%+v, want two of three machines", points)
	}
}

// nameOfLongIntervals: a machine with a snapshot every five minutes has no sample in most minutes, so the hour is
// shown. One interval that is long is no reason, and neither are intervals that are a bit too long.
func nameOfLongIntervals(t *testing.T, s *store.Store, machineID string) {
	series := func(name string, every time.Duration) (list []snapshot.Snapshot) {
		for at := clock(13, 0, 0).Add(every); at <= clock(15, 0, 0); at = at.Add(every) {
			list = append(list, full(at, every, entry(5, name, every.Milliseconds()/2, 1<<20)))
		}
		return list
	}
	for i, c := range []struct {
		every []time.Duration
		want  query.Resolution
	}{
		{[]time.Duration{time.Minute}, query.ResolutionMinute},
		{[]time.Duration{time.Minute + 12*time.Millisecond, 5 * time.Second}, query.ResolutionMinute},
		{[]time.Duration{5 * time.Minute}, query.ResolutionHour},
		{[]time.Duration{time.Minute, 5 * time.Minute}, query.ResolutionHour},
		{[]time.Duration{5 * time.Second, 90 * time.Second}, query.ResolutionHour},
	} {
		name := fmt.Sprintf("%s-%d", machineID, i)
		for k, every := range c.every {
			list := series(name, every)
			if every <= time.Minute {
				list = append(list, full(clock(15, 20, 0), 20*time.Minute, entry(5, name, 600_000, 1<<20)))
			}
			storetest.Write(t, s, fmt.Sprintf("%s-%d", name, k), list...)
		}
		points, used := namePoints(t, s, name, clock(14, 10, 0), clock(15, 0, 0), query.ResolutionAuto)
		if used != c.want {
			t.Errorf("every %v: by %s, want %s", c.every, used, c.want)
		}
		if used != query.ResolutionHour {
			continue
		}
		n := float64(len(c.every))
		for _, p := range points {
			cores := float64(msOf(p.CPUTime)) / float64(p.ElapsedMS)
			wantNear(t, fmt.Sprintf("the cores every %v", c.every), &cores, n/2)
			wantNear(t, fmt.Sprintf("the processes at once every %v", c.every), p.RunningAvg, n)
			if p.MachinesMeasured != int64(n) {
				t.Errorf("every %v: %d machines were measured, want %v", c.every, p.MachinesMeasured, n)
			}
		}
	}
}
