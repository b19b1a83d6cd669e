package query_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A machine booted with a clock three hours ahead, that of a time zone, and was corrected. The start times of its
// processes stay ahead of the timestamps. A search finds them nevertheless.
func TestSearchFindsProcessesThatStartInTheFuture(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		var list []snapshot.Snapshot
		for at := clock(12, 1, 0); at <= clock(15, 0, 0); at = at.Add(time.Minute) {
			one := full(at, time.Minute, entry(1, "init", 0, 1<<20))
			if at > clock(13, 0, 0) && at <= clock(14, 0, 0) {
				job := entry(50, "start-ahead", 60_000, 1<<30)
				job.StartedAt = clock(16, 0, 0)
				one.Processes = append(one.Processes, job)
			}
			list = append(list, one)
		}
		storetest.Write(t, s, "start-ahead", list...)
		match := query.Match{Name: "start-ahead"}
		for _, from := range []snapshot.Time{clock(12, 0, 0), clock(13, 0, 0)} {
			page := query.FleetPage{View: query.AllMachines(), Limit: 10}
			found, err := s.FleetWindow(t.Context(), match, from, clock(15, 0, 0), page)
			if err != nil || len(found.Usages) != 1 {
				t.Errorf("from %s: %+v, %v", from, found.Usages, err)
			}
		}
		before, _, err := s.Nearest(t.Context(), match, clock(14, 30, 0), clock(14, 31, 0), query.AllMachines())
		if err != nil || before == nil || before.Timestamp != clock(14, 0, 0) {
			t.Errorf("before 14:30 it ran at %+v, %v, want 14:00", before, err)
		}
		_, after, err := s.Nearest(t.Context(), match, clock(12, 30, 0), clock(12, 31, 0), query.AllMachines())
		if err != nil || after == nil || after.Timestamp != clock(13, 1, 0) {
			t.Errorf("after 12:31 it ran at %+v, %v, want 13:01", after, err)
		}
	})
}

// The clock is set back by 90 s, so an agent's timestamps advance at half the speed. After an outage it sends the
// newest snapshot before those that wait. Each has a minute at one core.
func TestSnapshotsAtHalfTheSpeedAreNotInsideIntervals(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		var list []snapshot.Snapshot
		at := clock(14, 1, 0)
		for i := range 14 {
			list = append(list, full(at, time.Minute, entry(5, "burn", 60_000, 1<<30)))
			if at = at.Add(time.Minute); i >= 9 && i < 12 {
				at = at.Add(-30 * time.Second)
			}
		}
		for machineID, parts := range map[string][][]snapshot.Snapshot{
			"half-in-order": {list}, "half-ahead": {list[:3], list[11:12], list[3:11], list[12:]},
		} {
			machine := snapshot.Machine{MachineID: machineID, Hostname: machineID, AgentVersion: "1.0.0"}
			if _, err := s.Register(t.Context(), &machine); err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				storetest.Write(t, s, machineID, part...)
			}
			top := topOf(t, s, machineID, clock(14, 0, 0), clock(14, 30, 0))[5]
			if got := msOf(top.CPUTime); got != 14*60_000 {
				t.Errorf("%s: %d ms of CPU, want %d", machineID, got, 14*60_000)
			}
			wantNear(t, machineID+": memory", top.MemoryAvg, 1<<30)
		}
	})
}
