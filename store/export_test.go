package store

import (
	"context"
	"time"
)

// RefreshLag returns how far the rollups are behind.
func (s *Store) RefreshLag(ctx context.Context, now time.Time) (time.Duration, error) {
	return s.backend.RefreshLag(ctx, now)
}
