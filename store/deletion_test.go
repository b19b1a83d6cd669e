package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A machine is deleted while another server computes its rollups. None of them are left.
func TestMachineDeletedDuringARefresh(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	first, second := db.Open(t, nil), db.Open(t, nil)
	conn, blocker := storetest.Connect(t, db.URL), storetest.Connect(t, db.URL)
	pastDays(t, db, first, 3, "a")
	maintain(t, second)
	at := storetest.Recent().Std().Add(-2*day - 5*time.Hour)
	storetest.Write(t, first, "gone", lateSnapshot(at))
	var machine int32
	if err := conn.QueryRow(t.Context(), `SELECT id FROM machines WHERE machine_id = 'gone'`).Scan(&machine); err != nil {
		t.Fatal(err)
	}
	// The refresh waits for this mark after it has read the samples.
	tx, err := blocker.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO rollup_marks (machine, bucket, level, claimed)
		VALUES ($1, date_bin('3 hours', $2, '2000-01-01 00:00:00+00'), 3, false)`, machine, at); err != nil {
		t.Fatal(err)
	}
	refreshed := make(chan error, 1)
	go func() { refreshed <- first.MaintainOnce(t.Context()) }()
	testwait.Until(t, "the refresh to wait", func() bool {
		var waits bool
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		return waits
	})
	if err := second.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	maintain(t, second)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-refreshed; err != nil {
		t.Fatal(err)
	}
	maintain(t, second)
	for row := range readBuckets(t, conn) {
		if row.machine == machine {
			t.Errorf("%s has a row of the deleted machine", row.relation)
		}
	}
	var left int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM machine_deletions`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d deletions are left (%v)", left, err)
	}
}

// The number of rows does not include deleted ones, also where they are compressed. Plain PostgreSQL estimates it again
// when it vacuums.
func TestRowsAfterADeletion(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		pastDays(t, db, s, 3, "a", "b", "c", "d")
		if db.Detection.Profile == backend.Timescale {
			storetest.CompressAll(t, conn)
		}
		if err := s.Delete(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		maintain(t, s)
		if db.Detection.Profile == backend.Postgres {
			if _, err := conn.Exec(t.Context(), `VACUUM ANALYZE`); err != nil {
				t.Fatal(err)
			}
		}
		var want, got int64
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM process_samples`).Scan(&want); err != nil {
			t.Fatal(err)
		}
		st, err := s.Storage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range st.Relations {
			if size.Relation == "process_samples" {
				got = size.Rows
			}
		}
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("%d rows of process_samples, want about %d", got, want)
		}
		if db.Detection.Profile == backend.Timescale {
			compareSizes(t, conn, st.Relations)
		}
	})
}

// compareSizes compares the sizes of hypertables with those that the functions of TimescaleDB return.
func compareSizes(t *testing.T, conn *pgx.Conn, sizes []backend.RelationSize) {
	t.Helper()
	compressed := 0
	for _, size := range sizes {
		if slices.Contains(backend.PlainTables, size.Relation) {
			continue
		}
		name := storetest.TableOf(backend.Timescale, size.Relation)
		want := size
		if err := conn.QueryRow(t.Context(), `SELECT hypertable_size(h.relation),
				coalesce(c.after_compression_total_bytes, 0), coalesce(c.before_compression_total_bytes, 0)
			FROM (SELECT coalesce((SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
				FROM timescaledb_information.continuous_aggregates WHERE view_name = $1), $1)::regclass AS relation) h
			LEFT JOIN LATERAL hypertable_compression_stats(h.relation) c ON true`, name).
			Scan(&want.Bytes, &want.CompressedBytes, &want.UncompressedBytes); err != nil {
			t.Fatal(err)
		}
		if size != want {
			t.Errorf("the size is %+v, want %+v", size, want)
		}
		if size.CompressedBytes > 0 {
			compressed++
		}
	}
	if compressed < len(backend.Rollups) {
		t.Errorf("only %d relations have compressed chunks", compressed)
	}
}

// The space of a deleted machine's rows counts as free for the budget, also if the server is stopped in the middle of
// the deletion. Its rows are not the last ones of a partition, so a plain vacuum cannot cut them off.
func TestBudgetAfterADeletion(t *testing.T) {
	t.Parallel()
	for name, isStopped := range map[string]bool{"in one go": false, "stopped in the middle": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Postgres(t)
			s := db.Open(t, nil)
			conn := storetest.Connect(t, db.URL)
			for age := 6; age >= 0; age-- {
				at := storetest.Recent().Add(-time.Duration(age) * day)
				for i, machineID := range []string{"a", "b", "c", "d"} {
					machine := snapshottest.NewMachine(uint64(10*age+i), 100)
					storetest.Write(t, s, machineID, machine.Series(at, 60, 10*time.Second, 1).Snapshots...)
				}
			}
			storetest.RefreshAll(t, db, s)
			vacuum := func() {
				t.Helper()
				if _, err := conn.Exec(t.Context(), `VACUUM ANALYZE`); err != nil {
					t.Fatal(err)
				}
			}
			vacuum()
			_, before := historyBytes(t, s)
			days := rawDays(t, conn)
			if err := s.Delete(t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
			if isStopped {
				stopDeletion(t, db, s)
				s.Close()
				s = db.Open(t, nil)
			}
			maintain(t, s)
			vacuum()
			_, after := historyBytes(t, s)
			t.Logf("%d bytes before, %d after", before, after)
			keep := s.Retention()
			keep.BudgetBytes = before * 9 / 10
			setRetention(t, s, keep)
			maintain(t, s)
			if n := rawDays(t, conn); n != days {
				t.Errorf("the budget has dropped days of other machines: %d of %d are left", n, days)
			}
		})
	}
}

// The space of deleted rows is returned even if a query that began before their deletion runs while a partition is
// rewritten.
func TestDeletionBesideAReader(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	at := storetest.Recent().Add(-2 * day)
	for i, machineID := range []string{"a", "b"} {
		storetest.Write(t, s, machineID,
			snapshottest.NewMachine(uint64(i), 100).Series(at, 60, 10*time.Second, 1).Snapshots...)
	}
	reader, err := storetest.Connect(t, db.URL).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(t.Context()) }()
	read := func() (file uint32, bytes int64) { // as they are now, whatever the isolation
		partition := "process_samples_" + at.Std().UTC().Format("20060102")
		if err := reader.QueryRow(t.Context(), `SELECT pg_relation_filenode($1::text::regclass),
			pg_table_size($1::text::regclass)`, partition).Scan(&file, &bytes); err != nil {
			t.Fatal(err)
		}
		return file, bytes
	}
	file, before := read()
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.MaintainOnce(t.Context()) }()
	testwait.Until(t, "the partition is rewritten", func() bool {
		now, _ := read()
		return now != file
	})
	if err := reader.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if reader, err = storetest.Connect(t, db.URL).Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, after := read(); after > before*6/10 {
		t.Errorf("the partition has %d bytes, want about half of %d", after, before)
	}
}

// stopDeletion runs the maintenance of a database until it waits for rows of today to be deleted, and cancels it.
func stopDeletion(t *testing.T, db storetest.Database, s *store.Store) {
	t.Helper()
	tx, err := storetest.Connect(t, db.URL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	// Unlike a lock of a row, this needs no transaction id, which would keep deleted rows from being removed.
	today := "process_samples_" + storetest.Recent().Std().UTC().Format("20060102")
	if _, err := tx.Exec(t.Context(), `LOCK TABLE `+today+` IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.MaintainOnce(ctx) }()
	// Queries in the same database would keep deleted rows from being removed while they run.
	watcher, name := storetest.Connect(t, storetest.URL(t)), tx.Conn().Config().Database
	testwait.Until(t, "the deletion waits for a row", func() bool {
		var waiting bool
		err := watcher.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = $1 AND wait_event_type = 'Lock' AND query LIKE 'DELETE FROM process_samples%')`, name).Scan(&waiting)
		return err == nil && waiting
	})
	cancel()
	if err := <-done; err == nil {
		t.Fatal("the maintenance was not stopped")
	}
}

// Deleting a machine removes its rows and rollups, does not make the database larger, and does not let the disk
// budget drop data of other machines.
func TestDeletedMachineAndBudget(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		// The version of PGlite decompresses what it deletes.
		old := db.Detection.Profile == backend.Timescale && !storetest.IsNative()
		processes := 100
		if old {
			processes = 5
		}
		for age := 5; age >= 0; age-- {
			for i := range 4 {
				machine := snapshottest.NewMachine(uint64(10*age+i), processes)
				at := storetest.Recent().Add(-time.Duration(age) * day)
				storetest.Write(t, s, fmt.Sprintf("m%d", i), machine.Series(at, 60, 10*time.Second, 1).Snapshots...)
			}
		}
		storetest.RefreshAll(t, db, s)
		runAllJobs(t, db)
		if db.Detection.Profile == backend.Timescale {
			storetest.CompressAll(t, conn)
		}
		var gone int32
		if err := conn.QueryRow(t.Context(), `SELECT id FROM machines WHERE machine_id = 'm1'`).Scan(&gone); err != nil {
			t.Fatal(err)
		}
		before := readBuckets(t, conn)
		days := rawDays(t, conn)
		size, total := historyBytes(t, s)
		if !old {
			keep := s.Retention()
			keep.BudgetBytes = total + total/20
			setRetention(t, s, keep)
		}
		if err := s.Delete(t.Context(), "m1"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			maintain(t, s)
		}
		runAllJobs(t, db)
		if n := rawDays(t, conn); n != days {
			t.Errorf("%d days of samples are left, want %d", n, days)
		}
		// Plain PostgreSQL reuses the space. Vacuum adds maps of free space, a few pages for each table.
		want := size + size/100
		if db.Detection.Profile == backend.Timescale {
			want = size * 9 / 10
		}
		if after, _ := historyBytes(t, s); after > want && !old {
			t.Errorf("the size was %d bytes, is %d and should be %d at most", size, after, want)
		}
		after := readBuckets(t, conn)
		for row := range before {
			if row.machine == gone {
				delete(before, row)
			}
		}
		compareBuckets(t, before, after)
		for row := range after {
			if row.machine == gone {
				t.Fatalf("%s has rows of a deleted machine", row.relation)
			}
		}
	})
}

// historyBytes returns the size of the series and rollups, and that of the database.
func historyBytes(t *testing.T, s *store.Store) (history, total int64) {
	t.Helper()
	st, err := s.Storage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range st.Relations {
		if !slices.Contains(backend.PlainTables, size.Relation) {
			history += size.Bytes
		}
	}
	return history, st.Bytes
}

// A deleted machine's rollups are deleted even if the raw data that they were computed from was dropped.
func TestDeletedMachineWithoutRawData(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		pastDays(t, db, s, 5, "gone", "kept")
		setRetention(t, s, backend.Retention{RawDays: 1, MinuteDays: 30, HourDays: 30, ThreeHoursDays: 30, DayDays: 30})
		maintain(t, s)
		if err := s.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		maintain(t, s)
		runAllJobs(t, db)
		machines := make(map[int32]bool)
		for row := range readBuckets(t, conn) {
			machines[row.machine] = true
		}
		if len(machines) != 1 {
			t.Errorf("rollups of %d machines are left, want those of 1", len(machines))
		}
	})
}
