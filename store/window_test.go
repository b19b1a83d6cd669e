package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// What processes used in a window, read from sparse samples, equals the sum over the full lists.
func TestWindowsOfSparseRowsAreExact(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		begin := snapshot.TimeOf(time.Now().UTC().Truncate(24 * time.Hour).Add(-48*time.Hour + 50*time.Minute))
		for seed := range uint64(12) {
			rng := rand.New(rand.NewPCG(seed, 3))
			c := rollupCase{
				seed: seed, processes: 2 + rng.IntN(10), churn: 0.05, step: 5 + rng.IntN(30),
				fullEvery: 1 + rng.IntN(12), offset: rng.IntN(600), irregular: seed%2 == 0,
			}
			machine := snapshottest.NewMachine(c.seed, c.processes)
			machine.ReportEnded, machine.Churn, machine.MemoryStep = true, c.churn, 1<<30
			series := machine.SeriesAt(c.instants(begin))
			machineID := fmt.Sprintf("window-%d", seed)
			storetest.Write(t, s, machineID, storetest.WithOpenFiles(series.Snapshots)...)
			first, last := series.Snapshots[0].Timestamp, series.Snapshots[len(series.Snapshots)-1].Timestamp
			for range 12 {
				from := first + snapshot.Time(rng.Int64N(int64(last-first)))
				to := from + snapshot.Time(rng.Int64N(int64(last-from)+1))
				if rng.IntN(3) == 0 { // edges exactly at a snapshot
					from = series.Snapshots[rng.IntN(len(series.Snapshots))].Timestamp
				}
				compareRollups(t, fmt.Sprintf("%s: %+v: %s to %s", machineID, c, from, to),
					readWindow(t, conn, machineID, from, to), expectedWindow(series, from, to))
			}
			compareStarts(t, fmt.Sprintf("%s: %+v", machineID, c), conn, machineID, series)
		}
	})
}

// compareStarts compares the states at the starts of hours with the full lists.
func compareStarts(t *testing.T, what string, conn *pgx.Conn, machineID string, series snapshottest.Series) {
	t.Helper()
	var before snapshot.Time
	want := make(map[string]bool)
	for i, list := range series.Expected {
		s := &series.Snapshots[i]
		hour := snapshot.TimeOf(s.Timestamp.Std().Truncate(time.Hour))
		if i > 0 && before <= hour && hour < s.Timestamp && s.IntervalMS > 0 {
			rows, err := conn.Query(t.Context(), `SELECT concat_ws(' ', p.pid, p.name, r.memory_usage, r.threads,
					(extract(epoch FROM r.ts) * 1000)::bigint)
				FROM process_start(machine_key($1), $2, $2, 'infinity') r JOIN processes p ON p.id = r.process`, machineID, hour.Std())
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || len(got) != len(want) {
				t.Errorf("%s: %d processes at %s (%v), want %d", what, len(got), hour, err, len(want))
			}
			for _, one := range got {
				if key := strings.TrimSuffix(one, fmt.Sprint(" ", int64(before))); !want[key] {
					t.Errorf("%s: %q at %s, want one of %v", what, one, hour, want)
				}
			}
		}
		before, want = s.Timestamp, make(map[string]bool)
		for _, p := range list {
			key := fmt.Sprint(p.PID, " ", p.Name)
			if p.MemoryUsage != nil {
				key += fmt.Sprint(" ", *p.MemoryUsage)
			}
			if p.Threads != nil {
				key += fmt.Sprint(" ", *p.Threads)
			}
			want[key] = true
		}
	}
}

// readWindow reads (from, to]. The bucket of its keys is zero.
func readWindow(t *testing.T, conn *pgx.Conn, machineID string, from, to snapshot.Time) map[rollupKey]rollup {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
		SELECT p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name, p.cgroup, r.cpu_us, r.cpu_us_max,
			r.elapsed_ms, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes
		FROM process_window(machine_key($1), $2, $3, NULL, true) r JOIN processes p ON p.id = r.process`,
		machineID, from.Std(), to.Std())
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[rollupKey]rollup)
	if _, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var key rollupKey
		var one rollup
		err := row.Scan(&key.pid, &key.started, &key.identity.PPID, &key.identity.Name, &key.identity.CommandLine,
			&key.identity.User, &key.identity.Cgroup, &one.CPUTime, &one.CPUTimeMax, &one.ElapsedMS, &one.MemoryAvg,
			&one.MemoryMax, &one.ThreadsMax, &one.ReadBytes, &one.WriteBytes)
		key.started = key.started.UTC()
		all[key] = one
		return struct{}{}, err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// expectedWindow adds up the full lists of (from, to]. A window begins with the state at its start, unless the next
// snapshot follows a gap.
func expectedWindow(series snapshottest.Series, from, to snapshot.Time) map[rollupKey]rollup {
	sums := make(map[rollupKey]*usageSum)
	sum := func(p *snapshot.Process) *usageSum {
		key := rollupKey{pid: p.PID, started: p.StartedAt.Std().UTC(), identity: p.Identity}
		if sums[key] == nil {
			sums[key] = &usageSum{}
		}
		return sums[key]
	}
	before := -1
	inWindow := false
	for i, list := range series.Expected {
		s := &series.Snapshots[i]
		if s.Timestamp <= from {
			before = i
			continue
		}
		if !inWindow && before >= 0 && s.IntervalMS > 0 && from < to {
			for _, p := range series.Expected[before] {
				p.Values = p.CarryForward()
				p.CPUTime, p.ReadBytes, p.WriteBytes = nil, nil, nil // unknown, unless it is in the list as well
				sum(&p).add(&p, 0)
			}
		}
		if s.Timestamp > to {
			break
		}
		inWindow = true
		for _, p := range slices.Concat(list, series.Ended[i]) {
			sum(&p).add(&p, runTime(&p, s))
		}
	}
	expected := make(map[rollupKey]rollup, len(sums))
	for key, one := range sums {
		expected[key] = one.total()
	}
	return expected
}
