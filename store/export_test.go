package store

import (
	"context"
	"testing"
	"time"
)

// RefreshLag returns how far the rollups are behind.
func (s *Store) RefreshLag(ctx context.Context, now time.Time) (time.Duration, error) {
	return s.backend.RefreshLag(ctx, now)
}

// UpkeepLockTimeout returns how long statements of the maintenance wait for a lock.
func (s *Store) UpkeepLockTimeout(t testing.TB) (timeout string) {
	t.Helper()
	if err := s.pools.upkeep.QueryRow(t.Context(), `SHOW lock_timeout`).Scan(&timeout); err != nil {
		t.Fatal(err)
	}
	return timeout
}
