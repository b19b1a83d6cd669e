package query_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func testProcessTrends(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	// Sixty parts, each of a minute with two steps. A step's time is the end of its interval.
	trends, err := s.ProcessTrends(t.Context(), "b", h.at(199), h.at(319))
	if err != nil {
		t.Fatal(err)
	}
	want, last := make(map[snapshot.ProcessKey][query.TrendPoints]int64), make(map[snapshot.ProcessKey]int)
	for step := 200; step < 320; step++ {
		for _, p := range h.series["b"].Expected[step] {
			last[p.ProcessKey] = step
			if spent := int64(deref(p.CPUTime)); spent > 0 {
				points := want[p.ProcessKey]
				points[(step-200)/2] += spent
				want[p.ProcessKey] = points
			}
		}
	}
	if len(trends) != len(want) || len(want) == 0 {
		t.Errorf("%d processes, want %d", len(trends), len(want))
	}
	for _, one := range trends {
		var got [query.TrendPoints]int64
		for part, usage := range one.CPUUsage {
			ran := h.at(199).Add(time.Duration(part+1)*time.Minute) > one.Key.StartedAt && 200+2*part <= last[one.Key]
			if (usage != nil) != ran {
				t.Errorf("%v has %v in part %d", one.Key, usage, part)
			}
			if usage == nil {
				continue
			}
			got[part] = int64(math.Round(*usage * 600_000)) // microseconds of a minute
		}
		if got != want[one.Key] {
			t.Errorf("%v spent %v, want %v", one.Key, got, want[one.Key])
		}
	}
	if _, err := s.ProcessTrends(t.Context(), "nobody", h.at(0), h.at(1)); !errors.Is(err, snapshot.ErrNoMachine) {
		t.Errorf("no machine: %v", err)
	}
}

func testMachineTrends(t *testing.T, s *store.Store, _ *pgx.Conn, h history) {
	end := h.at(300)
	trends, err := s.MachineTrends(t.Context(), query.AllMachines(), []string{"c", "a", "nobody"}, end)
	if err != nil || len(trends) != 2 || trends[0].MachineID != "a" || trends[1].MachineID != "c" {
		t.Fatalf("%+v, %v", trends, err)
	}
	chart, _, err := s.Chart(
		t.Context(), "a", end.Add(-60*time.Minute), end, query.ResolutionMinute, 100,
	)
	if err != nil || len(chart.Timestamps) != query.TrendPoints {
		t.Fatalf("%d points, %v", len(chart.Timestamps), err)
	}
	for i := range chart.Timestamps {
		if deref(trends[0].CPUUsage[i]) != deref(chart.CPUUsageAvg[i]) ||
			deref(trends[0].Load1[i]) != deref(chart.Load1Avg[i]) ||
			trends[0].CPUUsage[i] == nil {
			t.Errorf("minute %d: %v, the chart has %v", i, trends[0].CPUUsage[i], chart.CPUUsageAvg[i])
		}
	}
	if none, err := s.MachineTrends(t.Context(), query.View{}, []string{"a"}, end); err != nil || len(none) != 0 {
		t.Errorf("an empty view has %v, %v", none, err)
	}
}

// A snapshot of two minutes is the value of both, and a gap has no value.
func TestMachineTrendOfLongIntervals(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		var list []snapshot.Snapshot
		for minute := 1; minute <= 59; minute += 2 {
			if minute < 21 || minute > 31 {
				one := withCPU(full(clock(14, minute, 30), 2*time.Minute, entry(1, "init", 0, 1<<20)), float64(minute))
				one.Machine.Load1 = new(float64(minute))
				list = append(list, one)
			}
		}
		storetest.Write(t, s, "two-minutes", list...)
		trends, err := s.MachineTrends(t.Context(), query.AllMachines(), []string{"two-minutes"}, clock(14, 60, 0))
		if err != nil || len(trends) != 1 {
			t.Fatalf("%+v, %v", trends, err)
		}
		for minute := range query.TrendPoints {
			cpu, load := trends[0].CPUUsage[minute], trends[0].Load1[minute]
			if minute > 19 && minute < 32 {
				if cpu != nil || load != nil {
					t.Errorf("minute %d, in the gap, has %s %%", minute, showNumber(cpu))
				}
				continue
			}
			want := float64(minute | 1) // of the snapshot that covers it
			wantNear(t, fmt.Sprintf("CPU usage of minute %d", minute), cpu, want)
			wantNear(t, fmt.Sprintf("load of minute %d", minute), load, want)
		}
	})
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

// endOfTrend: a window that ends inside an interval contains a part of its snapshot, which is after the window.
func endOfTrend(t *testing.T, s *store.Store, machineID string) {
	rng := rand.New(rand.NewPCG(9, 31))
	for _, seconds := range []int{3, 7, 25, 130, 1800} {
		id := fmt.Sprintf("%s-%d", machineID, seconds)
		interval := time.Duration(seconds) * time.Second
		var list []snapshot.Snapshot
		for at := clock(14, 0, seconds); at <= clock(15, 10, 0); at = at.Add(interval) {
			list = append(list, full(at, interval, entry(5, "burn", 1+rng.Int64N(interval.Milliseconds()), 1<<20)))
		}
		storetest.Write(t, s, id, list...)
		// Late snapshots are inside intervals, so theirs are unknown.
		storetest.Write(t, s, id, full(clock(14, 30, 0).Add(1500*time.Millisecond), 0, entry(5, "burn", -1, 1<<20)))
		for _, to := range []snapshot.Time{
			clock(14, 30, 0).Add(1234 * time.Millisecond), clock(14, 31, 0), clock(14, 40, 11),
		} {
			from := to.Add(-10 * time.Minute)
			trends, err := s.ProcessTrends(t.Context(), id, from, to)
			if err != nil || len(trends) != 1 {
				t.Fatalf("every %s until %s: %d trends, %v", interval, to, len(trends), err)
			}
			for part, usage := range trends[0].CPUUsage {
				begin := from.Add(time.Duration(part) * 10 * time.Second)
				var spent float64 // in the ten seconds
				for _, one := range list {
					first := max(begin, one.Timestamp.Add(-interval))
					overlap := min(begin.Add(10*time.Second), one.Timestamp).Sub(first)
					spent += one.Processes[0].CPUTime.Milliseconds() * max(0, overlap.Seconds()) / interval.Seconds()
				}
				wantNear(t, fmt.Sprintf("every %s until %s, part %d", interval, to, part), usage, spent/100)
			}
		}
	}
}

// clockSetBack: for ten minutes, the agent's timestamps go at half speed, because the clock was set back. Processes at
// one core have 100 % in all reads, also one that started in that time.
func clockSetBack(t *testing.T, s *store.Store, machineID string) {
	var list []snapshot.Snapshot
	const interval = 5 * time.Second
	started := clock(14, 11, 0)
	for at := clock(14, 0, 5); at <= clock(14, 40, 0); at = at.Add(interval) {
		short := entry(7, "short", interval.Milliseconds(), 1<<20)
		short.StartedAt = started
		one := full(at, interval, entry(5, "burn", interval.Milliseconds(), 1<<20))
		if at > started && at <= clock(14, 15, 0) {
			if at.Sub(started) < interval {
				short.CPUTime = new(snapshot.CPUTimeOf(at.Sub(started)))
			}
			one.Processes = append(one.Processes, short)
		}
		list = append(list, one)
		if at >= clock(14, 10, 0) && at < clock(14, 20, 0) {
			at = at.Add(-interval / 2)
		}
	}
	storetest.Write(t, s, machineID, list...)
	for pid, name := range map[int32]string{5: "burn", 7: "short"} {
		p := hourOf(t, s, machineID, pid)
		wantNear(t, "the hour of "+name, new(float64(msOf(p.CPUTime))/float64(p.ElapsedMS)), 1)
		from, to := clock(14, 12, 0), clock(14, 14, 0)
		wantNear(t, "the window of "+name, topOf(t, s, machineID, from, to)[pid].CPUUsage, 100)
	}
	for _, minutes := range [][2]int{{9, 21}, {12, 14}, {0, 40}} {
		trends, err := s.ProcessTrends(t.Context(), machineID, clock(14, minutes[0], 0), clock(14, minutes[1], 0))
		if err != nil || len(trends) != 2 {
			t.Fatalf("%+v, %v", trends, err)
		}
		for _, one := range trends {
			for part, usage := range one.CPUUsage {
				if one.Key.PID == 5 || minutes[0] == 12 { // it ran all the time
					wantNear(t, fmt.Sprintf("pid %d, part %d, minute %d", one.Key.PID, part, minutes[0]), usage, 100)
				}
			}
		}
	}
}

// unknownTrend: the CPU time of a process is unknown in a snapshot, and in those after it that leave the process out.
func unknownTrend(t *testing.T, s *store.Store, machineID string) {
	for seed := range uint64(4) {
		id := fmt.Sprintf("%s-%d", machineID, seed)
		rng := rand.New(rand.NewPCG(seed, 7))
		list := seriesOfUnknownCPU(rng)
		ends := recordedEnds(list)
		storetest.Write(t, s, id, list...)
		begin := 1 + rng.IntN(15) // the window has a snapshot in each part
		from := list[begin-1].Timestamp
		trends, err := s.ProcessTrends(t.Context(), id, from, list[begin+59].Timestamp)
		if err != nil || len(trends) == 0 {
			t.Fatalf("%+v, %v", trends, err)
		}
		for part := range query.TrendPoints {
			state, err := s.At(t.Context(), id, list[begin+part].Timestamp, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range trends {
				want := new(float64)
				processes := state.Processes
				for _, sample := range list[begin+part].Processes {
					if sample.Ended() {
						ended := snapshot.Process{ProcessKey: sample.Key(), Values: sample.Values(state.IntervalMS)}
						processes = append(processes, ended)
					}
				}
				if i := slices.IndexFunc(processes, func(p snapshot.Process) bool {
					return p.ProcessKey == one.Key
				}); i >= 0 {
					want = snapshot.CPUUsage(processes[i].CPUTime, state.IntervalMS)
				}
				if end, ok := ends[one.Key]; state.IntervalMS == 0 || ok && begin+part > end {
					want = nil
				}
				got := one.CPUUsage[part]
				if (got == nil) != (want == nil) || math.Abs(deref(got)-deref(want)) > 0.01 {
					t.Errorf("%s: pid %d, part %d from snapshot %d: %s %%, want %s",
						id, one.Key.PID, part, begin, showNumber(got), showNumber(want))
				}
			}
		}
	}
}

// recordedEnds returns the last snapshot that each process is in, if its end is recorded.
func recordedEnds(list []snapshot.Snapshot) map[snapshot.ProcessKey]int {
	ends := make(map[snapshot.ProcessKey]int)
	for step, one := range list {
		for _, p := range one.Processes {
			delete(ends, p.Key())
			if p.Ended() {
				ends[p.Key()] = step
			}
		}
		for _, key := range one.Exited {
			ends[key] = step - 1
		}
	}
	return ends
}

// seriesOfUnknownCPU returns 75 snapshots, one every ten seconds. The CPU time of some processes is unknown, and they
// call exec, end, and start again.
func seriesOfUnknownCPU(rng *rand.Rand) (list []snapshot.Snapshot) {
	const interval = 10 * time.Second
	started, called, listed := make(map[int32]int), make(map[int32]int), make(map[int32]bool)
	for step := range 75 {
		one := full(clock(14, 0, 10*step), interval)
		restarted := step > 0 && rng.IntN(25) == 0
		switch {
		case restarted:
			one.IntervalMS = 0
		case step > 0 && rng.IntN(7) > 0:
			one.Kind, one.Previous = snapshot.KindChanges, list[step-1].Timestamp
		}
		for pid := int32(1); pid <= 6; pid++ {
			sample := entry(pid, "worker", rng.Int64N(5000), 1<<20+rng.Int64N(1<<20))
			sample.StartedAt = clock(13, started[pid], 0)
			if rng.IntN(4) == 0 {
				*sample.CPUTime = 0
			}
			if rng.IntN(5) == 0 || restarted {
				sample.CPUTime = nil
			}
			if rng.IntN(8) == 0 {
				called[pid]++
			}
			sample.CommandLine = fmt.Sprintf("worker %d", called[pid])
			isChange, was := one.Kind == snapshot.KindChanges, listed[pid]
			switch n := rng.IntN(20); {
			case n == 0: // it ends, and the next one starts later
				if isChange && was {
					one.Exited = append(one.Exited, sample.Key())
				}
				listed[pid] = false
				started[pid]++
			case n == 1 && isChange:
				sample.State = snapshot.StateEnded
				one.Processes = append(one.Processes, sample)
				listed[pid] = false
				started[pid]++
			case !isChange || n < 9:
				one.Processes = append(one.Processes, sample)
				listed[pid] = true
			}
		}
		list = append(list, one)
	}
	return list
}
