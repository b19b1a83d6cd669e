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

// scriptsAt returns a snapshot with n short-lived processes, each of another name, that used a CPU time and memory.
func scriptsAt(at snapshot.Time, n int, cpu snapshot.CPUTime, memory int64) snapshot.Snapshot {
	one := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000}
	for i := range n {
		one.Processes = append(one.Processes, snapshot.ProcessSample{
			PID: int32(100 + i), StartedAt: at - 1000, PPID: new(int32(1)), Name: fmt.Sprintf("sh%d", i),
			CommandLine: "sh -c true", User: "root", Cgroup: "/cron.service", State: snapshot.StateEnded,
			CPUTime: new(cpu + snapshot.CPUTime(i)), MemoryUsage: new(memory + int64(i)*4096),
		})
	}
	return one
}

// Sums outlive the processes in them. Lists of a window that begins before the series of short-lived processes have the
// largest of those that are left.
func TestTopOfExpiredShortLivedProcesses(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		now := storetest.Recent()
		old := now.Add(-5 * 24 * time.Hour)
		for _, machineID := range []string{"m", "young"} {
			if _, err := s.Register(t.Context(), &snapshot.Machine{MachineID: machineID, CPUCount: 4}); err != nil {
				t.Fatal(err)
			}
		}
		storetest.Write(t, s, "m", scriptsAt(old, 40, 9_000_000, 1<<30),
			scriptsAt(old.Add(5*time.Second), 40, 9_000_000, 1<<30), scriptsAt(now, 30, 1000, 1<<20))
		storetest.Write(t, s, "young", scriptsAt(now, 1, 1000, 1<<20))
		storetest.RefreshAll(t, db, s)
		keep := s.Retention()
		keep.ExitsDays = 2
		if err := s.SetRetention(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := storetest.Connect(t, db.URL)
		for _, order := range []query.UsageOrder{query.ByCPU, query.ByMemory} {
			for _, limit := range []int{1, 20, 30, 100} {
				list, window, err := s.Top(t.Context(), query.UsageQuery{
					MachineID: "m", From: now.Add(-7 * 24 * time.Hour), To: now.Add(time.Minute), Order: order,
					Limit: limit,
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(list) != min(limit, 30) || list[0].PID != 129 || list[0].First != now {
					t.Errorf("the first %d by %s: %d processes, %+v", limit, order, len(list), list)
				}
				if from := window.ShortLivedFrom(); from <= old || from >= now {
					t.Errorf("short-lived processes from %s", from)
				}
			}
		}
		for machineID, hasExpired := range map[string]bool{"m": true, "young": false} {
			if err := s.Configure(t.Context(), machineID, store.ConfigChange{Tags: &[]string{machineID}}); err != nil {
				t.Fatal(err)
			}
			from, to := now.Add(-7*24*time.Hour), now.Add(time.Minute)
			_, window, err := s.Top(t.Context(), query.UsageQuery{
				MachineID: machineID, From: from, To: to, Order: query.ByCPU, Limit: 1,
			})
			if err != nil || (window.ShortLivedFrom() != 0) != hasExpired {
				t.Errorf("%s: the list has short-lived processes from %s, %v", machineID, window.ShortLivedFrom(), err)
			}
			found, err := s.FleetWindow(t.Context(), query.Match{Name: "nothing"}, from, to,
				query.FleetPage{View: query.View{Tags: []string{machineID}}, Limit: 10})
			if from := found.Window.ShortLivedFrom(); err != nil || (from != 0) != hasExpired {
				t.Errorf("%s: the search has short-lived processes from %s, %v", machineID, from, err)
			}
		}
		var processes int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM process_top('m', $1, $2)`,
			now.Add(-7*24*time.Hour).Std(), now.Add(time.Minute).Std()).Scan(&processes); err != nil ||
			processes != 30 {
			t.Errorf("process_top has %d processes, %v", processes, err)
		}
	})
}
