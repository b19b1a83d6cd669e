package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// shortLived returns a snapshot each second from a time with n processes that lived between two of them.
func shortLived(from snapshot.Time, seconds, n int, name string) []snapshot.Snapshot {
	list := []snapshot.Snapshot{full(from, time.Second, entry(1, "init", 0, 1<<20))}
	for second := 1; second <= seconds; second++ {
		at := from.Add(time.Duration(second) * time.Second)
		one := changes(at, time.Second)
		for i := range n {
			short := entry(int32(1000*second+i), name, 1, 1<<20)
			short.StartedAt, short.State = at-500, snapshot.StateEnded
			one.Processes = append(one.Processes, short)
		}
		list = append(list, one)
	}
	return list
}

// Processes that did not run in a window, and those of other machines, do not keep matching ones out of the results.
func TestFindAmongManyProcesses(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		flood := shortLived(clock(10, 0, 0), 70, 200, "sh")
		storetest.Write(t, s, "flood", storetest.WithOpenFiles(flood)...)
		storetest.Write(t, s, "flood", shortLived(clock(12, 0, 0), 70, 200, "sh")...)
		storetest.Write(t, s, "quiet", shortLived(clock(10, 0, 0), 12, 1, "sh")...)
		storetest.Write(t, s, "quiet", shortLived(clock(12, 0, 0), 12, 1, "sh")...)
		page := query.FleetPage{View: query.AllMachines(), Limit: 10}
		count := func(from, to snapshot.Time) (flood, quiet int, truncated bool) {
			t.Helper()
			found, err := s.FleetWindow(t.Context(), query.Match{Name: "sh"}, from, to, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range found.Usages {
				if u.MachineID == "flood" {
					flood++
				} else {
					quiet++
				}
			}
			return flood, quiet, found.Truncated
		}
		check := func(what string, from, to snapshot.Time, wantFlood, wantQuiet int, wantTruncated bool) {
			t.Helper()
			if flood, quiet, truncated := count(from, to); flood != wantFlood || quiet != wantQuiet ||
				truncated != wantTruncated {
				t.Errorf("%s: %d and %d processes (truncated %t), want %d and %d (%t)",
					what, flood, quiet, truncated, wantFlood, wantQuiet, wantTruncated)
			}
		}
		check("the first five seconds", clock(10, 0, 0), clock(10, 0, 5), 1000, 5, false)
		check("the minute", clock(9, 59, 0), clock(10, 2, 0), 10_000-12, 12, true)
		check("a long window", clock(8, 0, 0), clock(12, 0, 0), 10_000-12, 12, true)
		check("five seconds of short-lived ones", clock(12, 0, 0), clock(12, 0, 5), 1000, 5, false)
		check("a minute of short-lived ones", clock(11, 59, 0), clock(12, 2, 0), 10_000-12, 12, true)
		check("a long window of short-lived ones", clock(11, 0, 0), clock(15, 0, 0), 10_000-12, 12, true)
	})
}

func TestNearestSnapshotContainsTheProcess(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		key := snapshot.ProcessKey{PID: 5, StartedAt: clock(1, 0, 0)}
		ending := func(name string) []snapshot.Snapshot {
			list := []snapshot.Snapshot{
				full(clock(10, 0, 0), 10*time.Second, entry(1, "init", 0, 1<<20), entry(5, name, 10, 1<<20)),
				changes(clock(10, 0, 10), 10*time.Second),
				changes(clock(10, 0, 20), 10*time.Second),
				changes(clock(10, 0, 30), 10*time.Second),
			}
			return list
		}
		reported := ending("reported")
		reported[3].Exited = []snapshot.ProcessKey{key}
		missing := ending("missing")
		missing[3] = full(clock(10, 0, 30), 10*time.Second, entry(1, "init", 0, 1<<20))
		withUsage := ending("with-usage")
		last := entry(5, "with-usage", 10, 1<<20)
		last.State = snapshot.StateEnded
		withUsage[3].Processes = append(withUsage[3].Processes, last)
		storetest.Write(t, s, "reported", reported...)
		storetest.Write(t, s, "missing", missing...)
		storetest.Write(t, s, "with-usage", withUsage...)
		rare := entry(5, "rare", 10, 1<<20)
		rareEnded := rare
		rareEnded.State = snapshot.StateEnded
		storetest.Write(t, s, "every three hours", full(clock(4, 0, 0), 3*time.Hour, rare),
			full(clock(7, 0, 0), 3*time.Hour, rareEnded))
		before, _, err := s.Nearest(
			t.Context(), query.Match{Name: "rare"}, clock(8, 0, 0), clock(8, 0, 0), query.AllMachines())
		if err != nil || before == nil || before.Timestamp != clock(4, 0, 0) {
			t.Errorf("of a machine polled every three hours: %s (%v), want 04:00", showNearest(before), err)
		}
		storetest.Write(t, s, "short-lived", shortLived(clock(10, 0, 30), 1, 1, "short-lived")...)
		for name, want := range map[string]snapshot.Time{
			"reported": clock(10, 0, 20), "missing": clock(10, 0, 20), "with-usage": clock(10, 0, 20),
			"short-lived": clock(10, 0, 31),
		} {
			for _, at := range []snapshot.Time{clock(10, 0, 35), clock(11, 0, 0)} {
				before, after, err := s.Nearest(t.Context(), query.Match{Name: name}, at, at, query.AllMachines())
				if err != nil || before == nil || before.Timestamp != want || after != nil {
					t.Errorf("%s: before %s: %s and %s (%v), want %s",
						name, at, showNearest(before), showNearest(after), err, want)
				}
			}
			before, after, err := s.Nearest(
				t.Context(), query.Match{Name: name}, clock(9, 0, 0), clock(9, 0, 0), query.AllMachines())
			first := clock(10, 0, 0)
			if name == "short-lived" {
				first = want
			}
			if err != nil || before != nil || after == nil || after.Timestamp != first {
				t.Errorf("%s: %s and %s (%v), want %s after", name, showNearest(before), showNearest(after), err, first)
			}
		}
		// The snapshot in whose interval it ended is after this time, and the last one with it is not.
		_, after, err := s.Nearest(
			t.Context(), query.Match{Name: "with-usage"}, clock(10, 0, 25), clock(10, 0, 25), query.AllMachines())
		if err != nil || after == nil || after.Timestamp != clock(10, 0, 30) {
			t.Errorf("after 10:00:25: %s (%v), want 10:00:30", showNearest(after), err)
		}
	})
}

func showNearest(one *query.NearestMatch) string {
	if one == nil {
		return "none"
	}
	return fmt.Sprint(one.Timestamp)
}
