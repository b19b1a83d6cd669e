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

// The first snapshot of a restarted agent has no usage, so it says nothing about the time before it. A program that
// never sends usage is measured nevertheless.
func TestSnapshotsWithoutUsage(t *testing.T) {
	t.Parallel()
	const s, m = time.Second, time.Minute
	none := func(at snapshot.Time) snapshot.Snapshot { return full(at, 0, entry(42, "burn", -1, 1<<20)) }
	amounts := func(at snapshot.Time) snapshot.Snapshot { return full(at, 0, entry(42, "burn", 700, 1<<20)) }
	machineOnly := func(at snapshot.Time) snapshot.Snapshot { return withCPU(none(at), 12.5) }
	bytesOnly := func(at snapshot.Time) snapshot.Snapshot {
		one := none(at)
		one.Machine.Interfaces = []snapshot.Interface{{Name: "eth0", SentBytes: new(int64(5))}}
		return one
	}
	noChange := func(at snapshot.Time) snapshot.Snapshot { return changes(at, 0) }
	type step struct {
		at   time.Duration
		make func(snapshot.Time) snapshot.Snapshot
		want time.Duration
	}
	cases := []struct {
		name  string
		steps []step
	}{
		{"agent that restarts for half an hour", []step{
			{0, amounts, 5 * s}, {9 * m, none, 0}, {18 * m, none, 0}, {30 * m, none, 0}, {30*m + 5*s, none, 0}}},
		{"restarted", []step{{0, amounts, 5 * s}, {5 * s, amounts, 5 * s}, {14 * s, none, 0}, {15 * s, amounts, s}}},
		{"restarted after changes", []step{{0, amounts, 5 * s}, {5 * s, noChange, 5 * s}, {14 * s, none, 0}}},
		{"restarted twice", []step{
			{0, amounts, 5 * s}, {6 * s, none, 0}, {12 * s, none, 0}, {13 * s, amounts, s}, {18 * s, none, 0}}},
		{"only memory", []step{{0, none, 0}, {5 * s, none, 5 * s}, {10 * s, none, 5 * s}, {40 * s, none, 0}}},
		{"no longer usage", []step{
			{0, amounts, 5 * s}, {5 * s, none, 0}, {11 * m, none, 0}, {11*m + 5*s, none, 5 * s}}},
		{"CPU of the machine only", []step{
			{0, machineOnly, 5 * s}, {5 * s, machineOnly, 5 * s}, {14 * s, none, 0}, {19 * s, machineOnly, 5 * s}}},
		{"bytes of the machine only", []step{
			{0, bytesOnly, 5 * s}, {5 * s, bytesOnly, 5 * s}, {14 * s, none, 0}, {19 * s, bytesOnly, 5 * s}}},
	}
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		for how, when := range []string{"in one batch", "each on its own", "each after a restart of the server"} {
			writer := db.Open(t, nil)
			machineID := func(i int) string { return fmt.Sprintf("no-usage-%d-%d", i, how) }
			batches := make([][]snapshot.Snapshot, len(cases))
			agent := snapshot.Machine{MachineID: machineID(0), Hostname: "agent", AgentVersion: "1.0.0"}
			if _, err := writer.Register(t.Context(), &agent); err != nil {
				t.Fatal(err)
			}
			for k := range 5 {
				if how == 2 {
					writer = db.Open(t, nil)
				}
				for i, c := range cases {
					if k >= len(c.steps) {
						continue
					}
					batches[i] = append(batches[i], c.steps[k].make(clock(1, 0, 0).Add(c.steps[k].at)))
					if how > 0 || k == len(c.steps)-1 {
						storetest.Write(t, writer, machineID(i), batches[i]...)
						batches[i] = nil
					}
				}
			}
			for i, c := range cases {
				for _, step := range c.steps {
					state, err := writer.At(t.Context(), machineID(i), clock(1, 0, 0).Add(step.at), false)
					if err != nil || state.IntervalMS != step.want.Milliseconds() {
						t.Errorf("%s, %s: the interval at %s is %d ms (%v), want %s",
							c.name, when, step.at, state.IntervalMS, err, step.want)
					}
				}
			}
		}
	})
}

// restartedAgent: a process at one core has 100 % in every time that was measured. The time since the last snapshot is
// unknown, even if it is less than two polling intervals.
func restartedAgent(t *testing.T, s *store.Store, machineID string) {
	for _, c := range []struct {
		polling, gap time.Duration
		stopped      snapshot.Time
		measured     time.Duration // of the hour from 14:00
	}{
		{5 * time.Second, 9 * time.Second, clock(14, 30, 0), 3_591 * time.Second},
		{time.Minute, 114 * time.Second, clock(14, 30, 0), (30+28)*time.Minute + time.Second},
		{time.Hour, 114 * time.Minute, clock(12, 30, 0), time.Second},
	} {
		id := fmt.Sprintf("%s-%s", machineID, c.polling)
		var list []snapshot.Snapshot
		add := func(at snapshot.Time, interval time.Duration) {
			list = append(list, full(at, interval, entry(5, "burn", interval.Milliseconds(), 1<<20)))
		}
		for ago := 2 * time.Hour; ago >= 0; ago -= c.polling {
			add(c.stopped.Add(-ago), c.polling)
		}
		restarted := c.stopped.Add(c.gap)
		list = append(list, full(restarted, 0, entry(5, "burn", -1, 1<<20)))
		add(restarted.Add(time.Second), time.Second)
		for at := restarted.Add(time.Second + c.polling); at <= clock(16, 0, 0); at = at.Add(c.polling) {
			add(at, c.polling)
		}
		storetest.Write(t, s, id, list[0])
		change := store.ConfigChange{PollingInterval: new(c.polling.Seconds())}
		if err := s.Configure(t.Context(), id, change); err != nil {
			t.Fatal(err)
		}
		storetest.Write(t, s, id, list[1:]...)
		want := c.measured.Milliseconds()
		if p := hourOf(t, s, id, 5); msOf(p.CPUTime) != want || p.ElapsedMS != want {
			t.Errorf("%s: the hour has %d ms of CPU in %d ms, want %d", id, msOf(p.CPUTime), p.ElapsedMS, want)
		}
		for resolution, points := range map[query.Resolution]int{query.ResolutionHour: 1, query.ResolutionMinute: 60} {
			history, err := s.NameHistory(
				t.Context(), query.AllMachines(), id, "burn", clock(14, 0, 0), clock(15, 0, 0), resolution, 100)
			named := history.Points
			if err != nil || len(named) == 0 || len(named) > points {
				t.Fatalf("%+v, %v", named, err)
			}
			for _, p := range named {
				if msOf(p.CPUTime) != p.ElapsedMS {
					t.Errorf("%s: %s from %s has %d ms of CPU in %d ms",
						id, resolution, p.Timestamp, msOf(p.CPUTime), p.ElapsedMS)
				}
			}
		}
		from, to := c.stopped.Add(-c.polling), restarted.Add(time.Second+c.polling)
		trends, err := s.ProcessTrends(t.Context(), id, from, to)
		if err != nil || len(trends) != 1 {
			t.Fatalf("%+v, %v", trends, err)
		}
		for part, usage := range trends[0].CPUUsage {
			begin := from.Add(to.Sub(from) / query.TrendPoints * time.Duration(part))
			end := begin.Add(to.Sub(from) / query.TrendPoints)
			switch inGap := begin+1 >= c.stopped && end-1 <= restarted; {
			case inGap && usage != nil:
				t.Errorf("%s: part %d, in the gap, has %v %%", id, part, *usage)
			case !inGap:
				wantNear(t, fmt.Sprintf("%s: part %d", id, part), usage, 100)
			}
		}
	}
}
