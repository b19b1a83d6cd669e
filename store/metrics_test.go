package store_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/metricstest"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The refresh lag is positive only while rollups are overdue.
func TestRefreshLag(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now().UTC().Truncate(time.Hour).Add(30 * time.Minute)
		registry := prometheus.NewRegistry()
		s, err := store.Open(
			t.Context(),
			store.Config{
				DatabaseURL: db.URL,
				Detection:   db.Detection,
				Retention:   30 * 24 * time.Hour,
				Now:         func() time.Time { return now },
			},
			storetest.Logger(),
			registry,
		)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		behind := func() time.Duration {
			t.Helper()
			d, err := s.RefreshLag(t.Context(), now)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if got := behind(); got != 0 {
			t.Errorf("empty database: %s behind", got)
		}
		storetest.Write(
			t,
			s,
			"m",
			snapshottest.NewMachine(1, 5).Series(storetest.Recent().Add(-72*time.Hour), 3, time.Second, 3).Snapshots...)
		want := now.Sub(storetest.Recent().Add(-72 * time.Hour).Std().UTC().Truncate(time.Hour).Add(time.Hour))
		if got := behind(); got != want {
			t.Errorf("%s behind, want %s", got, want)
		}
		storetest.RefreshAll(t, db, s)
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := metricstest.Value(t, registry, "snapwatch_store_rollups_behind_seconds"); got != 0 || behind() != 0 {
			t.Errorf("%v s behind after the refresh", got)
		}
	})
}
