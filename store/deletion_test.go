package store_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
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
	})
}

// Deleting a machine makes room: days of other machines stay, although the disk budget is smaller than the database was
// before.
func TestBudgetAfterADeletion(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	s := db.Open(t, nil)
	conn := storetest.Connect(t, db.URL)
	for age := 6; age >= 0; age-- {
		at := storetest.Recent().Add(-time.Duration(age) * day)
		for i, machineID := range []string{"a", "b", "c", "d"} {
			machine := snapshottest.NewMachine(uint64(10*age+i), 100)
			storetest.Write(t, s, machineID, machine.Series(at, 200, 10*time.Second, 1).Snapshots...)
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
	if err := s.Delete(t.Context(), "d"); err != nil {
		t.Fatal(err)
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
}
