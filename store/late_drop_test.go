package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// lateSnapshot returns a snapshot with a process and a short-lived one.
func lateSnapshot(at time.Time) snapshot.Snapshot {
	used, memory, parent := snapshot.CPUTime(5_000_000), int64(1<<20), int32(0)
	return snapshot.Snapshot{
		Timestamp: snapshot.TimeOf(at), Kind: snapshot.KindFull, IntervalMS: 60_000,
		Processes: []snapshot.ProcessSample{
			{PID: 1, PPID: &parent, Name: "init", State: "S", CPUTime: &used, MemoryUsage: &memory},
			{PID: 2, StartedAt: snapshot.TimeOf(at) - 500, PPID: &parent, Name: "sh", State: snapshot.StateEnded},
		},
	}
}

// writeOne writes a snapshot and returns its error.
func writeOne(ctx context.Context, s *store.Store, machineID string, one snapshot.Snapshot) error {
	return s.Write(ctx, []*snapshot.Batch{{MachineID: machineID, Snapshots: []snapshot.Snapshot{one}}})[0].Err
}

// isTooOld reports whether a snapshot was refused because its time was dropped.
func isTooOld(err error) bool {
	refused, ok := errors.AsType[*snapshot.ValidationError](err)
	return ok && refused.Code == snapshot.CodeTooOld
}

// dropAllButTheLastDays sets a budget that nothing fits into, and does a round of maintenance.
func dropAllButTheLastDays(t *testing.T, s *store.Store) {
	t.Helper()
	keep := s.Retention()
	keep.BudgetBytes = 1
	setRetention(t, s, keep)
	maintain(t, s)
}

// maintainForHours does rounds of maintenance and runs all jobs, two hours of the store's clock apart.
func maintainForHours(t *testing.T, db storetest.Database, s *store.Store, now *time.Time) {
	t.Helper()
	for range 4 {
		*now = now.Add(2 * time.Hour)
		maintain(t, s)
		runAllJobs(t, db)
	}
}

// checkInAllRollups fails the test if a rollup has no row of a machine.
func checkInAllRollups(t *testing.T, conn *pgx.Conn, machineID string) {
	t.Helper()
	for _, relation := range backend.Rollups {
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+relation+` r JOIN machines m ON m.id = r.machine
			WHERE m.machine_id = $1`, machineID).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			t.Errorf("%s has no row of an acknowledged snapshot", relation)
		}
	}
}

// A snapshot at midnight belongs to the rollups of the day before. If that was dropped, it is refused. The first one
// that is accepted reaches all rollups.
func TestLateSnapshotAtMidnightAfterADrop(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		pastDays(t, db, s, 6, "a")
		dropAllButTheLastDays(t, s)
		midnight := s.Horizon().Std().UTC().Truncate(day)
		if horizon := s.Horizon(); horizon != snapshot.TimeOf(midnight)+1 {
			t.Errorf("the horizon is %s, want a millisecond after midnight", horizon)
		}
		if err := writeOne(t.Context(), s, "early", lateSnapshot(midnight)); !isTooOld(err) {
			t.Errorf("snapshot at midnight: %v, want %s", err, snapshot.CodeTooOld)
		}
		first := midnight.Add(time.Millisecond)
		if db.Detection.Profile == backend.Timescale { // the first hour is never computed again
			first = first.Add(time.Hour)
			if err := writeOne(t.Context(), s, "early", lateSnapshot(first.Add(-time.Millisecond))); !isTooOld(err) {
				t.Errorf("snapshot in the first hour: %v, want %s", err, snapshot.CodeTooOld)
			}
		}
		storetest.Write(t, s, "late", lateSnapshot(first))
		maintainForHours(t, db, s, &now)
		checkInAllRollups(t, conn, "late")
	})
}

// A snapshot at midnight is in all rollups, even if the day before is dropped in the next round.
func TestLateSnapshotAtMidnightBeforeADrop(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		pastDays(t, db, s, 6, "a")
		storetest.Write(t, s, "late", lateSnapshot(backend.StartOfDay(now).Add(-day)))
		dropAllButTheLastDays(t, s)
		maintainForHours(t, db, s, &now)
		checkInAllRollups(t, conn, "late")
	})
}

// The first of all snapshots may be at midnight as well, the start of the oldest chunk.
func TestFirstSnapshotAtMidnight(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		maintain(t, s)
		storetest.Write(t, s, "first", lateSnapshot(backend.StartOfDay(now).Add(-5*day)))
		dropAllButTheLastDays(t, s)
		maintainForHours(t, db, s, &now)
		checkInAllRollups(t, conn, "first")
	})
}

// A server refuses late data of days that another server has dropped a moment ago. The rollups stay as they are.
func TestLateSnapshotAfterADropByAnotherServer(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		first, second := db.Open(t, nil), db.Open(t, nil)
		before := pastDays(t, db, first, 6, "a")
		maintain(t, second)
		dropAllButTheLastDays(t, first)
		at := storetest.Recent().Std().Add(-4*day + 10*time.Minute)
		if second.Horizon() > snapshot.TimeOf(at) {
			t.Fatal("the second server has noticed the drop")
		}
		for _, machineID := range []string{"a", "new"} {
			if err := writeOne(t.Context(), second, machineID, lateSnapshot(at)); !isTooOld(err) {
				t.Errorf("machine %s: %v, want %s", machineID, err, snapshot.CodeTooOld)
			}
		}
		if second.Horizon() <= snapshot.TimeOf(at) {
			t.Error("the second server has not noticed the drop")
		}
		maintain(t, first)
		runAllJobs(t, db)
		compareBuckets(t, before, readBuckets(t, storetest.Connect(t, db.URL)))
	})
}

// A drop waits for the transaction that has inserted late data, and its rollups are made before the data is dropped.
func TestDropWaitsForLateData(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		if db.Detection.Profile == backend.Timescale && !storetest.IsNative() {
			t.Skip("PGlite has a single session")
		}
		s := db.Open(t, nil)
		conn, blocker := storetest.Connect(t, db.URL), storetest.Connect(t, db.URL)
		pastDays(t, db, s, 6, "a")
		maintain(t, s)
		// The last statement of the writer's transaction waits.
		for _, statement := range []string{
			`CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock(1);
				RETURN NULL;
			END $$`,
			`CREATE TRIGGER wait_for_test AFTER UPDATE OF last_seen ON machines FOR EACH STATEMENT EXECUTE FUNCTION wait_for_test()`,
			`SELECT pg_advisory_lock(1)`,
		} {
			if _, err := blocker.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		written := make(chan error, 1)
		at := storetest.Recent().Std().Add(-6*day + 20*time.Minute)
		go func() { written <- writeOne(t.Context(), s, "late", lateSnapshot(at)) }()
		testwait.Until(t, "the writer to wait", func() bool {
			var waits bool
			if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
				AND NOT granted AND objid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).
				Scan(&waits); err != nil {
				t.Fatal(err)
			}
			return waits
		})
		days := rawDays(t, conn)
		dropAllButTheLastDays(t, s)
		if n := rawDays(t, conn); n != days {
			t.Errorf("%d of %d days are left while late data is being stored", n, days)
		}
		if _, err := blocker.Exec(t.Context(), `SELECT pg_advisory_unlock(1)`); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		maintain(t, s)
		if n := rawDays(t, conn); n > 3 {
			t.Errorf("%d days are left, want 3 at most", n)
		}
		runAllJobs(t, db)
		checkInAllRollups(t, conn, "late")
	})
}

// Each day, the oldest day is dropped when it has expired.
func TestDaysExpireOneByOne(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := backend.StartOfDay(time.Now()).Add(-6*day + 5*time.Hour)
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		maintain(t, s)
		setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30})
		for range 5 {
			storetest.Write(t, s, "a", lateSnapshot(now.Add(-3*time.Hour)), lateSnapshot(now.Add(-time.Minute)))
			now = now.Add(day)
			maintain(t, s)
			if n := rawDays(t, conn); n > 2 {
				t.Fatalf("%d days are left at %s, want 2 at most", n, now)
			}
		}
		var samples int
		if err := conn.QueryRow(t.Context(), `SELECT sum(samples) FROM machine_1m`).Scan(&samples); err != nil ||
			samples != 10 {
			t.Errorf("machine_1m has %d of 10 snapshots (%v)", samples, err)
		}
	})
}
