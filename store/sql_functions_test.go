package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The SQL functions take the ID or the host name of a machine, and refuse one that is unknown or ambiguous.
func TestMachineOfSQLFunctions(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for seed, machineID := range []string{"fn-1", "fn-2", "fn-3"} {
			series := snapshottest.NewMachine(uint64(seed), 3+seed).Series(storetest.Recent(), 2, 5*time.Second, 2)
			storetest.Write(t, s, machineID, series.Snapshots...)
		}
		conn := storetest.Connect(t, db.URL)
		if _, err := conn.Exec(t.Context(), `UPDATE machines SET hostname = CASE machine_id WHEN 'fn-1' THEN 'fn-2' ELSE 'fn-twin' END
			WHERE machine_id IN ('fn-1', 'fn-2', 'fn-3')`); err != nil {
			t.Fatal(err)
		}
		for _, function := range []string{"process_at($1, now())", "process_top($1, now() - interval '1 day', now())"} {
			for machine, want := range map[string]string{
				"fn-1":    "",
				"fn-2":    "", // an ID comes before the same host name of another machine
				"fn-twin": "2 machines have the host name 'fn-twin' (Use the ID of one of them: fn-2, fn-3.)",
				"nobody":  "no machine has the ID or the host name 'nobody'",
			} {
				var rows int
				err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+function, machine).Scan(&rows)
				got := ""
				if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
					got = refused.Message
					if refused.Hint != "" {
						got += " (" + refused.Hint + ")"
					}
				} else if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("%s of %s: %q, want %q", function, machine, got, want)
				}
				if strings.HasPrefix(function, "process_at") && machine == "fn-2" && rows != 4 {
					t.Errorf("process_at('fn-2') has %d rows, want the 4 of the machine with that ID", rows)
				}
			}
		}
	})
}

// A minute of CPU is in the window of process_top that contains it. Where samples were dropped, whole hours are read.
func TestWindowsOfProcessTop(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		start := storetest.Recent().Std().UTC().Truncate(time.Hour).Add(-4 * day)
		spent, memory, ppid := snapshot.CPUTime(60_000_000), int64(1<<20), int32(1)
		storetest.Write(t, s, "m", snapshot.Snapshot{
			Timestamp: snapshot.TimeOf(start.Add(5 * time.Minute)), Kind: snapshot.KindFull, IntervalMS: 60_000,
			Processes: []snapshot.ProcessSample{
				{PID: 5, PPID: &ppid, Name: "sh", CPUTime: &spent, MemoryUsage: &memory},
			},
		})
		const edge = 3 * time.Hour
		for _, one := range []struct {
			at   time.Duration
			pid  int32
			name string
		}{{edge - 10*time.Second, 6, "gone"}, {edge + 10*time.Second, 5, "sh"}} {
			storetest.Write(t, s, "edge", snapshot.Snapshot{
				Timestamp: snapshot.TimeOf(start.Add(one.at)), Kind: snapshot.KindFull, IntervalMS: 20_000,
				Processes: []snapshot.ProcessSample{{PID: one.pid, PPID: &ppid, Name: one.name, MemoryUsage: &memory}},
			})
		}
		storetest.RefreshAll(t, db, s)
		conn := storetest.Connect(t, db.URL)
		for _, length := range []time.Duration{time.Hour, 4 * time.Hour} {
			var names []string
			if err := conn.QueryRow(t.Context(), `SELECT array_agg(name ORDER BY name) FROM process_top('edge', $1, $2)`,
				start.Add(edge), start.Add(edge+length)).Scan(&names); err != nil ||
				!slices.Equal(names, []string{"gone", "sh"}) {
				t.Errorf("%s from the end of the first hour: %q (%v), want the process at its start as well",
					length, names, err)
			}
		}
		check := func(when string, from, to time.Duration, want int64) {
			t.Helper()
			var got int64
			if err := conn.QueryRow(t.Context(), `SELECT coalesce(sum(cpu_ms), 0)::bigint FROM process_top('m', $1, $2)`,
				start.Add(from), start.Add(to)).Scan(&got); err != nil || got != want {
				t.Errorf("%s, %s to %s: %d ms (%v), want %d", when, from, to, got, err, want)
			}
		}
		check("samples", 0, 5*time.Minute, 60_000)
		check("samples", 5*time.Minute, 10*time.Minute, 0)
		check("samples", -time.Hour, time.Hour, 60_000)
		check("hours", 10*time.Minute, 4*time.Hour, 60_000)
		setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30})
		maintain(t, s)
		if n := rawDays(t, conn); n != 0 {
			t.Fatalf("%d days of samples are left, want none", n)
		}
		check("no samples", 5*time.Minute, 10*time.Minute, 60_000)
		storetest.Write(t, s, "m", snapshot.Snapshot{Timestamp: snapshot.TimeOf(time.Now()), Kind: snapshot.KindFull})
		check("later samples", 5*time.Minute, 10*time.Minute, 60_000)
		check("later samples", 2*day, 2*day+time.Hour, 0)
	})
}
