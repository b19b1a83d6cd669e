package query_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Where only days are left, reads return days: after the finer rollups have expired, and also after they would be kept
// longer again.
func TestReadsOfExpiredHours(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, func(cfg *store.Config) { cfg.Retention = 0 })
		keep := func(finer int) {
			t.Helper()
			err := s.SetRetention(t.Context(), backend.Retention{
				RawDays: finer, ExitsDays: finer,
				MinuteDays: finer, HourDays: finer, ThreeHoursDays: finer, DayDays: 300,
			})
			if err == nil {
				err = s.MaintainOnce(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		keep(150)
		first := snapshot.TimeOf(time.Now().UTC().Truncate(24 * time.Hour).Add(-100 * 24 * time.Hour))
		busy := entry(5, "busy", 60_000, 1<<30)
		busy.StartedAt = first.Add(-time.Hour)
		var list []snapshot.Snapshot
		for hour := range 5 * 24 {
			at := first.Add(time.Duration(hour)*time.Hour + 30*time.Minute)
			list = append(list, withCPU(full(at, time.Minute, busy), 50))
		}
		storetest.Write(t, s, "m", list...)
		storetest.RefreshAll(t, db, s)
		check := func(when string) {
			t.Helper()
			for _, window := range []struct{ from, to, days time.Duration }{
				{58 * time.Hour, 61 * time.Hour, 1}, {58 * time.Hour, 59 * time.Hour, 1},
				{70 * time.Hour, 74 * time.Hour, 2}, {48 * time.Hour, 108 * time.Hour, 3},
			} {
				from, to := first.Add(window.from), first.Add(window.to)
				top, plan, err := s.Top(t.Context(), query.UsageQuery{
					MachineID: "m", From: from, To: to, Order: query.ByCPU, Limit: 5,
				})
				if err != nil {
					t.Fatal(err)
				}
				if length := plan.To.Sub(plan.From); length != window.days*24*time.Hour {
					t.Errorf("%s, %v: the window has %s", when, window, length)
				}
				if len(top) != 1 || msOf(top[0].CPUTime) != int64(window.days)*24*60_000 {
					t.Errorf("%s, %v: %+v", when, window, top)
				}
				lifetime, err := s.ProcessLifetime(t.Context(), "m", 5, busy.StartedAt)
				if err != nil {
					t.Fatal(err)
				}
				points, _, err := s.ProcessHistory(
					t.Context(), "m", lifetime, from, to, s.ProcessResolution(from, to), 1000)
				if err != nil || len(points) != int(window.days) {
					t.Errorf("%s, %v: %d points of the process, %v", when, window, len(points), err)
				}
				chart, _, err := s.Chart(t.Context(), "m", from, to, s.MachineResolution(from, to), 1000)
				if err != nil || len(chart.Timestamps) != int(window.days) {
					t.Errorf("%s, %v: %d points of the machine, %v", when, window, len(chart.Timestamps), err)
				}
			}
		}
		keep(2)
		check("after the hours have expired")
		keep(150)
		check("after hours are kept longer again")
	})
}

// From the deletion of a machine on, fleet reads do not include it, although its rows are deleted later.
func TestFleetAfterADeletion(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for _, machineID := range []string{"kept", "gone"} {
			var list []snapshot.Snapshot
			for hour := 1; hour < 20; hour++ {
				list = append(list, full(clock(hour, 30, 0), time.Minute,
					entry(5, "postgres", 1000, 1<<30), entry(6, "only-"+machineID, 1000, 1<<30)))
			}
			storetest.Write(t, s, machineID, list...)
		}
		storetest.RefreshAll(t, db, s)
		if err := s.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		for _, byName := range []bool{true, false} {
			top, _, err := s.Top(t.Context(), query.UsageQuery{
				View: query.AllMachines(), From: clock(0, 0, 0), To: clock(22, 0, 0), Order: query.ByCPU,
				ByName: byName, Limit: 2,
			})
			if err != nil || len(top) != 2 || msOf(top[0].CPUTime) != 19_000 || msOf(top[1].CPUTime) != 19_000 {
				t.Errorf("by name %t: %+v, %v", byName, top, err)
			}
		}
		history, err := s.NameHistory(t.Context(), query.AllMachines(), "", "postgres", clock(0, 0, 0),
			clock(22, 0, 0), query.ResolutionHour, 100)
		points := history.Points
		if err != nil || len(points) != 19 || points[0].Processes != 1 || msOf(points[0].CPUTime) != 1000 {
			t.Errorf("the history of a name: %+v, %v", points, err)
		}
	})
}

// A machine whose snapshots have expired has sent snapshots: it does not wait for the first one.
func TestMachineOfExpiredSnapshots(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, func(cfg *store.Config) { cfg.Retention = 0 })
		last := snapshot.TimeOf(time.Now().UTC().Truncate(24 * time.Hour).Add(-20 * 24 * time.Hour))
		storetest.Write(t, s, "m", withCPU(full(last, time.Minute, entry(5, "busy", 60_000, 1<<30)), 50))
		storetest.RefreshAll(t, db, s)
		check := func(stored bool) {
			t.Helper()
			m, err := s.Machine(t.Context(), "m")
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := s.Machines(t.Context(), query.MachinePage{View: query.AllMachines(), Limit: 10})
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			for _, m := range []*query.Machine{m, &list[0]} {
				if m.LastSnapshot != last || m.Waiting() || !m.Outdated(time.Now()) ||
					(m.Latest != nil) != stored || (m.ProcessCount != nil) != stored {
					t.Errorf("last snapshot at %s, values %v, %v, waiting %t", m.LastSnapshot, m.Latest, m.ProcessCount,
						m.Waiting())
				}
			}
			if n, err := s.States(t.Context()); err != nil || n.Up != 1 || n.Waiting != 0 {
				t.Errorf("%+v, %v", n, err)
			}
		}
		check(true)
		err := s.SetRetention(t.Context(), backend.Retention{
			RawDays: 5, ExitsDays: 5, MinuteDays: 90, HourDays: 90, ThreeHoursDays: 90, DayDays: 300,
		})
		if err == nil {
			err = s.MaintainOnce(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		check(false)
	})
}
