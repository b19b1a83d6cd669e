package store_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// Where samples were dropped, short windows are read from rollups, also after the retention became longer.
func TestShortWindowsOfDroppedDays(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		pastDays(t, db, s, 5, "a")
		keep := backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30}
		setRetention(t, s, keep)
		maintain(t, s)
		from := storetest.Recent().Add(-4 * day)
		to := from.Add(30 * time.Minute)
		for _, days := range []int{1, 30} {
			keep.RawDays = days
			setRetention(t, s, keep)
			top, window, err := s.Top(t.Context(), query.UsageQuery{
				MachineID: "a", From: from, To: to, Order: query.ByCPU, Limit: 20})
			if err != nil || len(top) == 0 || window.From > from || window.To < to {
				t.Errorf("snapshots of %d days: %d processes from %s to %s, %v",
					days, len(top), window.From, window.To, err)
				continue
			}
			if resolution := s.MachineResolution(from, to); resolution != query.ResolutionMinute {
				t.Errorf("snapshots of %d days: the chart of the machine is %s", days, resolution)
			}
			if resolution := s.ProcessResolution(from, to); resolution != query.ResolutionHour {
				t.Errorf("snapshots of %d days: the chart of a process is %s", days, resolution)
			}
			history, err := s.NameHistory(
				t.Context(), query.AllMachines(), "a", top[0].Name, from, to, query.ResolutionAuto, 10)
			points := history.Points
			if err != nil || len(points) == 0 {
				t.Errorf("snapshots of %d days: %d points of a name, %v", days, len(points), err)
			}
		}
	})
}
