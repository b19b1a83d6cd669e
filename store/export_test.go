package store

import (
	"context"
	"time"
)

// The statements of the reads, for the tests that look at their plans.
const (
	RangeSQL   = rangeSQL
	AtSQL      = atSQL
	AfterSQL   = afterSQL
	SamplesSQL = samplesSQL
	DisksSQL   = disksSQL
	NetsSQL    = netsSQL
)

// CachedProcesses is how much the writer remembers, for the test of its bound.
func (s *Store) CachedProcesses() int { return s.chains.held }

// Rollups lists the relations made of the series.
var Rollups = rollups

// Series lists the relations that grow with time.
var Series = series

// Behind tells how far rollups are behind.
func (s *Store) Behind(ctx context.Context, now time.Time) (time.Duration, error) {
	return s.profile.behind(ctx, now)
}
