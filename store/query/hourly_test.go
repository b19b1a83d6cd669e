package query_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A machine is polled once an hour. A process is in the snapshot of 23:30 and not in that of 00:30, so it is in the
// state at 00:11.
func TestStateOfYesterday(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		midnight := snapshot.TimeOf(caseDay.Add(24 * time.Hour))
		idle := entry(66, "idle", 0, 9<<30)
		storetest.Write(t, s, "hourly",
			full(midnight.Add(-90*time.Minute), time.Hour, entry(1, "init", 0, 1<<20), idle),
			full(midnight.Add(-30*time.Minute), time.Hour, entry(1, "init", 0, 1<<20), idle),
			full(midnight.Add(30*time.Minute), time.Hour, entry(1, "init", 0, 1<<20)),
			full(midnight.Add(90*time.Minute), time.Hour, entry(1, "init", 0, 1<<20)))
		from, to := midnight.Add(11*time.Minute), midnight.Add(40*time.Minute)
		if _, ok := topOf(t, s, "hourly", from, to)[66]; !ok {
			t.Error("the list of top processes lacks it")
		}
		match, page := query.Match{Name: "idle"}, query.FleetPage{View: query.AllMachines(), Limit: 10}
		window, err := s.FleetWindow(t.Context(), match, from, to, page)
		if err != nil || len(window.Usages) != 1 {
			t.Errorf("the search of a window has %+v, %v", window.Usages, err)
		}
		at, _, err := s.FleetAt(t.Context(), match, from, page)
		if err != nil || len(at) != 1 {
			t.Errorf("the search of an instant has %+v, %v", at, err)
		}
		for _, machineID := range []string{"", "hourly"} {
			history, err := s.NameHistory(
				t.Context(), query.AllMachines(), machineID, "idle", from, to, query.ResolutionMinute, 100)
			points := history.Points
			if err != nil || len(points) != 0 {
				t.Errorf("the history of its name on %q has %+v (%v), though no sample of it", machineID, points, err)
			}
		}
	})
}

// A process is gone at the first snapshot of a minute. Its name has no point there, whether or not it was idle before.
func TestMinutesOfANameThatIsGone(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for machineID, lastCPU := range map[string]int64{"gone-idle": 0, "gone-busy": 10} {
			job := entry(66, "gone", 0, 9<<30)
			list := []snapshot.Snapshot{full(clock(14, 0, 10), 10*time.Second, entry(1, "init", 0, 1<<20), job)}
			for at := clock(14, 0, 20); at <= clock(14, 5, 0); at = at.Add(10 * time.Second) {
				one := changes(at, 10*time.Second)
				switch {
				case at == clock(14, 3, 0) && lastCPU > 0:
					one.Processes = append(one.Processes, entry(66, "gone", lastCPU, 9<<30))
				case at == clock(14, 3, 10):
					one.Exited = []snapshot.ProcessKey{job.Key()}
				}
				list = append(list, one)
			}
			storetest.Write(t, s, machineID, list...)
			history, err := s.NameHistory(
				t.Context(), query.AllMachines(), machineID, "gone", clock(14, 0, 0), clock(14, 5, 0),
				query.ResolutionMinute, 100)
			points := history.Points
			if err != nil || len(points) != 3 {
				t.Errorf("%s: %d points, %v, want those of the three minutes it ran", machineID, len(points), err)
			}
		}
	})
}

// The identities of a process are merged even if the later one had its last sample on the day before.
func TestTopOfIdentitiesOfYesterday(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		midnight := snapshot.TimeOf(caseDay.Add(24 * time.Hour))
		titled := func(title string) snapshot.ProcessSample {
			one := entry(5, "postgres", 10, 9<<30)
			one.CommandLine = "postgres: " + title
			return one
		}
		other := entry(7, "java", 10, 4<<30)
		storetest.Write(t, s, "titles",
			full(midnight.Add(-90*time.Minute), time.Hour, titled("idle"), other),
			full(midnight.Add(-30*time.Minute), time.Hour, titled("SELECT"), other),
			full(midnight.Add(30*time.Minute), time.Hour, titled("idle"), other),
			full(midnight.Add(90*time.Minute), time.Hour, titled("idle"), other))
		for _, limit := range []int{2, 3, 201} {
			list, _, err := s.Top(t.Context(), query.UsageQuery{
				MachineID: "titles", From: midnight.Add(11 * time.Minute), To: midnight.Add(40 * time.Minute),
				Order: query.ByMemory, Limit: limit,
			})
			if err != nil || len(list) != 2 {
				t.Errorf("limit %d: %d processes, %v, want 2", limit, len(list), err)
			}
		}
	})
}

// A sample of an hour in a window of ten minutes is a process at one core, not at six.
func TestUsageOfALongInterval(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for _, machineID := range []string{"long", "long-too"} {
			storetest.Write(t, s, machineID,
				full(clock(9, 0, 0), time.Hour, entry(5, "busy", 3_600_000, 1<<20)),
				full(clock(10, 0, 0), time.Hour, entry(5, "busy", 3_600_000, 1<<20)))
		}
		wantNear(t, "the usage of the process",
			topOf(t, s, "long", clock(9, 50, 0), clock(10, 0, 0))[5].CPUUsage, 100)
		list, _, err := s.Top(t.Context(), query.UsageQuery{
			View: query.AllMachines(), From: clock(9, 50, 0), To: clock(10, 0, 0), Order: query.ByCPU, ByName: true,
			Limit: 5,
		})
		if err != nil || len(list) == 0 || list[0].Name != "busy" {
			t.Fatalf("%+v, %v", list, err)
		}
		wantNear(t, "the usage of the name on both machines", list[0].CPUUsage, 200)
	})
}
