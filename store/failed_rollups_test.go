package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A bucket that cannot be computed does not stop the rollups of other machines, and it is tried again later.
func TestFailedRollupsAreSetAside(t *testing.T) {
	t.Parallel()
	now := time.Now()
	url := storetest.URL(t)
	s := storetest.OpenConfig(t, store.Config{
		DatabaseURL: url, Retention: 48 * time.Hour, Now: func() time.Time { return now }})
	conn := storetest.Connect(t, url)
	at := storetest.Recent().Add(-20 * time.Hour)
	for i := range 4 {
		storetest.Write(t, s, fmt.Sprintf("m-%d", i),
			snapshottest.NewMachine(uint64(i), 5).Series(at, 6, 10*time.Second, 3).Snapshots...)
	}
	if _, err := conn.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER TABLE process_1h_done ADD CONSTRAINT broken CHECK (machine <> %s)',
		machine_key('m-1')); END $$`); err != nil {
		t.Fatal(err)
	}
	check := func(when string, failed int64, machines int) {
		t.Helper()
		var got int
		if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT machine) FROM process_1h_done`).Scan(&got); err != nil ||
			got != machines {
			t.Errorf("%s: rollups of %d machines, want %d (%v)", when, got, machines, err)
		}
		st, err := s.Storage(t.Context())
		if err != nil || st.RollupsFailed != failed {
			t.Errorf("%s: %d failed rollups, want %d (%v)", when, st.RollupsFailed, failed, err)
		}
	}
	if err := s.MaintainOnce(t.Context()); err == nil {
		t.Error("maintenance reports no error")
	}
	check("after the failure", 1, 3)
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Errorf("the bucket is tried again at once: %v", err)
	}
	if _, err := conn.Exec(t.Context(), `ALTER TABLE process_1h_done DROP CONSTRAINT broken`); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("later", 0, 4)
}
