package store_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

const day = 24 * time.Hour

// rollupRow identifies a bucket of a machine.
type rollupRow struct {
	relation string
	machine  int32
	bucket   time.Time
}

// readBuckets returns the rows of all rollups as text. Rows of processes of a bucket are joined.
func readBuckets(t *testing.T, conn *pgx.Conn) map[rollupRow]string {
	t.Helper()
	buckets := make(map[rollupRow]string)
	for _, relation := range backend.Rollups {
		var exists bool
		if err := conn.QueryRow(t.Context(), `SELECT to_regclass($1) IS NOT NULL`, relation).Scan(&exists); err != nil {
			t.Fatal(err)
		}
		if !exists { // before an upgrade
			continue
		}
		// Averages are left out: their last digit depends on the order of addition.
		columns := `samples, interval_ms, process_count_max, used_ram_max, read_bytes, sent_bytes`
		if strings.HasPrefix(relation, "short_lived") {
			columns = `name, owner, processes, failed, cpu_us, cpu_us_max, elapsed_ms, memory_max, unknown_io, first_ts,
				last_ts`
		}
		if strings.HasPrefix(relation, "process") {
			columns = `process, cpu_ms, cpu_ms_max, memory_max, threads_max, first_ts, last_ts`
		}
		rows, err := conn.Query(t.Context(), `SELECT machine, bucket, string_agg(row(`+columns+`)::text, ' ' ORDER BY row(`+columns+`)::text)
			FROM `+relation+` GROUP BY machine, bucket`)
		if err != nil {
			t.Fatal(err)
		}
		row, text := rollupRow{relation: relation}, ""
		if _, err := pgx.ForEachRow(rows, []any{&row.machine, &row.bucket, &text}, func() error {
			row.bucket = row.bucket.UTC()
			buckets[row] = text
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return buckets
}

// compareBuckets fails the test if a bucket of before is missing or different in after.
func compareBuckets(t *testing.T, before, after map[rollupRow]string) {
	t.Helper()
	lost := make(map[string]int)
	for row, text := range before {
		if after[row] != text {
			lost[row.relation]++
		}
	}
	for _, relation := range slices.Sorted(maps.Keys(lost)) {
		t.Errorf("%d buckets of %s are missing or have changed", lost[relation], relation)
	}
}

// pastDays writes six snapshots of each machine in every one of the past days, refreshes all rollups, and returns
// these.
func pastDays(
	t *testing.T, db storetest.Database, s *store.Store, days int, machines ...string,
) map[rollupRow]string {
	t.Helper()
	for age := days; age >= 0; age-- {
		at := storetest.Recent().Add(-time.Duration(age) * day)
		for i, machineID := range machines {
			machine := snapshottest.NewMachine(uint64(10*age+i), 5)
			machine.ReportEnded = true
			storetest.Write(t, s, machineID, machine.Series(at, 6, 10*time.Second, 3).Snapshots...)
		}
	}
	storetest.RefreshAll(t, db, s)
	before := readBuckets(t, storetest.Connect(t, db.URL))
	filled := make(map[string]bool)
	for row := range before {
		filled[row.relation] = true
	}
	if len(filled) != len(backend.Rollups) {
		t.Fatalf("only the rollups %v have rows", filled)
	}
	return before
}

func maintain(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func setRetention(t *testing.T, s *store.Store, keep backend.Retention) {
	t.Helper()
	keep.ExitsDays = min(max(keep.ExitsDays, 1), keep.RawDays)
	if err := s.SetRetention(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
}

// rawDays returns how many days have process samples.
func rawDays(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT date_bin('1 day', ts, '2000-01-01 00:00:00+00')) FROM process_samples`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// runAllJobs runs all jobs of TimescaleDB. Each level is refreshed after the one that it is computed from. A refresh
// has no batches, because one run of a job only does some of them.
func runAllJobs(t *testing.T, db storetest.Database) {
	t.Helper()
	if db.Detection.Profile != backend.Timescale {
		return
	}
	conn := storetest.Connect(t, db.URL)
	rows, err := conn.Query(t.Context(), `SELECT job_id FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_%' AND job_id >= 1000
		ORDER BY job_id`)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil || len(jobs) == 0 {
		t.Fatalf("jobs %v, %v", jobs, err)
	}
	for _, job := range jobs {
		if _, err := conn.Exec(t.Context(), `SELECT alter_job(job_id, config => config || '{"buckets_per_batch": 0}')
			FROM timescaledb_information.jobs WHERE job_id = $1 AND config ? 'buckets_per_batch'`, job); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CALL run_job(%d)`, job)); err != nil {
			t.Fatalf("job %d: %v", job, err)
		}
	}
}

// Rollups of days whose raw data was dropped stay as they are when the retention of raw data becomes longer.
func TestLongerRetentionKeepsRollups(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		before := pastDays(t, db, s, 5, "a", "b")
		keep := backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30}
		setRetention(t, s, keep)
		maintain(t, s)
		if n := rawDays(t, conn); n > 3 {
			t.Fatalf("%d days of samples are left, want 3 at most", n)
		}
		keep.RawDays = 30
		setRetention(t, s, keep)
		maintain(t, s)
		runAllJobs(t, db)
		compareBuckets(t, before, readBuckets(t, conn))
		// A restarted server does not refresh them either.
		later := time.Now().Add(2 * time.Hour)
		restarted := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return later } })
		maintain(t, restarted)
		compareBuckets(t, before, readBuckets(t, conn))
	})
}

// A late snapshot for a day that the disk budget has dropped does not change the rollups of that day, and neither
// does the end of the budget.
func TestLateSnapshotAfterBudget(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		before := pastDays(t, db, s, 6, "a", "b")
		keep := s.Retention()
		keep.BudgetBytes = 1 // nothing fits
		setRetention(t, s, keep)
		maintain(t, s)
		if n := rawDays(t, conn); n > 3 {
			t.Fatalf("%d days of samples are left, want 3 at most", n)
		}
		late := lateSnapshot(time.Now().Add(-4*day - 3*time.Hour))
		if err := writeOne(t.Context(), s, "new", late); !isTooOld(err) || late.Timestamp >= s.Horizon() {
			t.Errorf("a snapshot of a dropped day: %v; the horizon is %s", err, s.Horizon())
		}
		maintain(t, s)
		runAllJobs(t, db)
		compareBuckets(t, before, readBuckets(t, conn))
		keep.BudgetBytes = 0
		setRetention(t, s, keep)
		maintain(t, s)
		runAllJobs(t, db)
		compareBuckets(t, before, readBuckets(t, conn))
	})
}

// Days are kept although the finer rollups that they were computed from have expired.
func TestDaysOutliveFinerRollups(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		// Chunks of three-hour buckets are too long to expire in the test.
		if db.Detection.Profile == backend.Timescale {
			if _, err := conn.Exec(t.Context(), `SELECT set_chunk_time_interval(format('%I.%I', materialization_hypertable_schema,
					materialization_hypertable_name)::regclass, interval '1 day')
				FROM timescaledb_information.continuous_aggregates`); err != nil {
				t.Fatal(err)
			}
		}
		before := pastDays(t, db, s, 6, "a", "b")
		setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 1, HourDays: 1, ThreeHoursDays: 1, DayDays: 30})
		for range 2 {
			maintain(t, s)
			runAllJobs(t, db)
		}
		for row := range before {
			if row.relation != "machine_1d" && row.relation != "process_1d" {
				delete(before, row)
			}
		}
		compareBuckets(t, before, readBuckets(t, conn))
	})
}

// Late data that was stored is in all rollups, even if its raw data is dropped in the next round, and other machines
// have sums that are larger than a bigint, in a minute and in an hour.
func TestLateDataIsRolledUpBeforeItIsDropped(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		before := pastDays(t, db, s, 5, "a", "b")
		past := storetest.Recent().Add(-4 * day)
		storetest.Write(t, s, "huge-minute", hugeReads(past, 2, 1000)...)
		storetest.Write(t, s, "huge-hour", hugeReads(past, 1000, 1)...)
		storetest.Write(t, s, "huge-hour", hugeReads(past.Add(3000*time.Second), 100, 1)...)
		late := snapshottest.NewMachine(99, 5).Series(past, 100, 10*time.Second, 3)
		storetest.Write(t, s, "late", late.Snapshots...)
		setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30})
		maintain(t, s)
		if n := rawDays(t, conn); n > 3 {
			t.Fatalf("%d days of samples are left, want 3 at most", n)
		}
		runAllJobs(t, db)
		compareBuckets(t, before, readBuckets(t, conn))
		for _, relation := range []string{"machine_1m", "machine_1h", "machine_3h", "machine_1d"} {
			for machineID, want := range map[string]int64{"late": 100, "huge-minute": 2, "huge-hour": 1100} {
				var samples, read *int64
				if err := conn.QueryRow(t.Context(), `SELECT sum(samples)::bigint, max(read_bytes) FROM `+relation+` r
					JOIN machines m ON m.id = r.machine WHERE m.machine_id = $1`, machineID).Scan(&samples, &read); err != nil ||
					samples == nil || *samples != want {
					t.Errorf("%s has %s of %d snapshots of %s (%v)", relation, show(samples), want, machineID, err)
				}
				isHuge := machineID == "huge-minute" || machineID == "huge-hour" && relation != "machine_1m"
				if isHuge && (read == nil || *read != math.MaxInt64) {
					t.Errorf("%s: %s read %s bytes, want the largest bigint", relation, machineID, show(read))
				}
			}
		}
		for _, relation := range []string{"process_1h", "process_3h", "process_1d"} {
			var buckets int
			if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT bucket) FROM `+relation+` r JOIN machines m ON m.id = r.machine
				WHERE m.machine_id = 'late'`).Scan(&buckets); err != nil || buckets != 1 {
				t.Errorf("%s has %d buckets of the late snapshots, want 1 (%v)", relation, buckets, err)
			}
		}
	})
}

// hugeReads returns n snapshots, three seconds apart, in which each of some disks has read 2^53 - 1 bytes. That is
// possible in the interval of a day. The sizes are as large.
func hugeReads(at snapshot.Time, n, disks int) []snapshot.Snapshot {
	list := make([]snapshot.Snapshot, n)
	read := int64(snapshot.MaxSafeInteger)
	for i := range list {
		list[i] = snapshot.Snapshot{
			Timestamp: at.Add(time.Duration(3*i) * time.Second), Kind: snapshot.KindFull,
			IntervalMS: day.Milliseconds(),
			Machine: snapshot.MachineSnapshot{
				TotalRAM: &read, UsedRAM: &read, AvailableRAM: &read, BuffersRAM: &read, CachedRAM: &read,
				SharedRAM: &read, SlabRAM: &read, TotalSwap: &read, UsedSwap: &read,
				TotalDisk: &read, UsedDisk: &read, AvailableDisk: &read, UptimeMS: &read, UnseenProcesses: &read,
				DroppedSnapshots: &read,
			},
		}
		for disk := range disks {
			list[i].Machine.Disks = append(list[i].Machine.Disks,
				snapshot.Disk{Mount: fmt.Sprintf("/%d", disk), ReadBytes: &read})
		}
	}
	return list
}

// Raw data whose rollups cannot be computed is not dropped. Other relations are.
func TestRawDataIsKeptUntilItIsRolledUp(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		storetest.Write(t, s, "m",
			snapshottest.NewMachine(1, 5).Series(storetest.Recent().Add(-4*day), 6, 10*time.Second, 3).Snapshots...)
		fail := []string{`ALTER TABLE process_1h_done ADD CONSTRAINT nothing CHECK (machine < 0)`}
		repair := []string{
			`ALTER TABLE process_1h_done DROP CONSTRAINT nothing`,
			`UPDATE rollup_marks SET failed_at = NULL`, // instead of waiting for the next attempt
		}
		if db.Detection.Profile == backend.Timescale { // replace the query of the refresh
			var view, query string
			if err := conn.QueryRow(t.Context(), `SELECT format('%I.%I', partial_view_schema, partial_view_name),
				pg_get_viewdef(format('%I.%I', partial_view_schema, partial_view_name)::regclass)
				FROM _timescaledb_catalog.continuous_agg WHERE user_view_name LIKE 'process\_1h%'`).Scan(&view, &query); err != nil {
				t.Fatal(err)
			}
			query = strings.TrimSuffix(query, ";")
			fail = []string{`CREATE OR REPLACE VIEW ` + view + ` AS SELECT * FROM (` + query + `) x WHERE 1 / (machine - machine) = 0`}
			repair = []string{`CREATE OR REPLACE VIEW ` + view + ` AS ` + query}
		}
		execute := func(statements []string) {
			t.Helper()
			for _, statement := range statements {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		execute(fail)
		setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30})
		if err := s.MaintainOnce(t.Context()); err == nil {
			t.Fatal("no error although a rollup cannot be computed")
		}
		if n := rawDays(t, conn); n != 1 {
			t.Errorf("%d days of samples are left, want 1", n)
		}
		execute(repair)
		maintain(t, s)
		if n := rawDays(t, conn); n != 0 {
			t.Errorf("%d days of samples are left after the refresh, want 0", n)
		}
		var buckets int
		if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT bucket) FROM process_1h`).Scan(&buckets); err != nil ||
			buckets != 1 {
			t.Errorf("%d hours of rollups, want 1 (%v)", buckets, err)
		}
	})
}

// Data at the end of the retention reaches all rollups: the last day begins before the retention.
func TestLateDataAtTheHorizon(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		keep := backend.Retention{RawDays: 60, MinuteDays: 60, HourDays: 60, ThreeHoursDays: 60, DayDays: 90}
		setRetention(t, s, keep)
		maintain(t, s)
		at := snapshot.TimeOf(time.Now().Add(-60*day + 90*time.Minute).Truncate(time.Second))
		storetest.Write(t, s, "m", snapshottest.NewMachine(1, 3).Series(at, 150, time.Second, 10).Snapshots...)
		maintain(t, s)
		runAllJobs(t, db)
		for _, relation := range []string{"machine_1m", "machine_1h", "machine_3h", "machine_1d"} {
			var samples *int64
			query := `SELECT sum(samples)::bigint FROM ` + relation
			if db.Detection.Profile == backend.Timescale { // without what the view aggregates itself
				query = materialized(t, conn, relation)
			}
			err := conn.QueryRow(t.Context(), query).Scan(&samples)
			if err != nil || samples == nil || *samples != 150 {
				t.Errorf("%s has %s of 150 snapshots (%v)", relation, show(samples), err)
			}
		}
		now := snapshot.TimeOf(time.Now())
		list, _, err := s.Top(t.Context(), query.UsageQuery{
			MachineID: "m", From: now.Add(-61 * day), To: now, Order: query.ByCPU, Limit: 20})
		if err != nil || len(list) < 3 {
			t.Errorf("%d processes of 61 days, want 3 at least (%v)", len(list), err)
		}
	})
}

// materialized returns a query for the number of snapshots in the materialized part of a rollup of machines.
func materialized(t *testing.T, conn *pgx.Conn, relation string) (query string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT format('SELECT sum(samples)::bigint FROM %I.%I', materialization_hypertable_schema, materialization_hypertable_name)
		FROM timescaledb_information.continuous_aggregates WHERE view_name LIKE $1`, relation+"%").Scan(&query); err != nil {
		t.Fatal(err)
	}
	return query
}

// After the extension is updated, stored data and rollups are the same. SNAPWATCH_TEST_TIMESCALE_UPDATE names the
// version to update from.
func TestUpdateOfTheExtension(t *testing.T) {
	if os.Getenv("SNAPWATCH_TEST_TIMESCALE_VERSION") == "" {
		t.Skip("needs a server with two versions of TimescaleDB: SNAPWATCH_TEST_TIMESCALE_VERSION is the older one")
	}
	url := storetest.NativeTimescaleURL(t)
	db := storetest.Database{URL: url, Detection: store.Detection{Profile: backend.Timescale}}
	s := db.Open(t, nil)
	before := pastDays(t, db, s, 5, "a", "b")
	s.Close()
	// The statement must be the first of its session.
	if _, err := storetest.Connect(t, url).Exec(t.Context(), `ALTER EXTENSION timescaledb UPDATE`); err != nil {
		t.Fatal(err)
	}
	s = db.Open(t, nil)
	maintain(t, s)
	runAllJobs(t, db)
	compareBuckets(t, before, readBuckets(t, storetest.Connect(t, url)))
}
