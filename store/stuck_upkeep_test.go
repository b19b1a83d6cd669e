package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A lock of a table of rollups that another session keeps stops neither the other steps of the maintenance nor the
// measurement of how far the rollups are behind.
func TestMaintenanceBesideALock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	url := storetest.URL(t)
	registry := newRegistry()
	s, err := store.Open(t.Context(), store.Config{
		DatabaseURL: url + "&lock_timeout=1000", Detection: store.Detection{Profile: backend.Postgres},
		Retention: 48 * time.Hour, Now: func() time.Time { return now },
	}, storetest.Logger(), registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	storetest.Write(t, s, "m",
		snapshottest.NewMachine(1, 5).Series(storetest.Recent().Add(-47*time.Hour), 6, 10*time.Second, 3).Snapshots...)
	storetest.Write(t, s, "m",
		snapshottest.NewMachine(1, 5).Series(storetest.Recent().Add(-20*time.Hour), 6, 10*time.Second, 3).Snapshots...)
	maintain(t, s)
	storetest.Write(t, s, "m",
		snapshottest.NewMachine(1, 5).Series(storetest.Recent().Add(-10*time.Hour), 6, 10*time.Second, 3).Snapshots...)
	conn := storetest.Connect(t, url)
	lock, err := storetest.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `LOCK TABLE process_1h_done IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	days := func() int { return rawDays(t, conn) }
	before := days()
	now = now.Add(26 * time.Hour) // the first snapshots have expired
	if err := s.MaintainOnce(t.Context()); !backend.IsLockTimeout(err) {
		t.Errorf("maintenance beside the lock returned %v", err)
	}
	if after := days(); after >= before {
		t.Errorf("there are %d days of samples, and there were %d", after, before)
	}
	if err := s.CheckRollups(t.Context()); err == nil || !strings.Contains(err.Error(), "behind") {
		t.Errorf("the check of the rollups returned %v", err)
	}
	if n, err := testutil.GatherAndCount(registry, "snapwatch_store_rollups_behind_seconds"); n != 1 || err != nil {
		t.Errorf("%d metrics, %v", n, err)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	maintain(t, s)
	if err := s.CheckRollups(t.Context()); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// Upkeep waits for locks for a limited time, also if the database URL does not say so.
func TestLockTimeoutOfMaintenance(t *testing.T) {
	t.Parallel()
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: storetest.URL(t), Retention: 24 * time.Hour})
	maintain(t, s)
	if got := s.UpkeepLockTimeout(t); got != "1min" {
		t.Errorf("maintenance waits %s for a lock", got)
	}
}

// A server continues if its schema is removed and created again.
func TestSchemaThatWasCreatedAgain(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: url, Retention: 48 * time.Hour})
	maintain(t, s)
	if err := store.MigrateDown(t.Context(), url, storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t, url); err != nil {
		t.Fatal(err)
	}
	maintain(t, s)
	if keep := s.Retention(); keep.RawDays != 2 {
		t.Errorf("the retention is %d days", keep.RawDays)
	}
}
