package query

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

// Storage is the disk usage of the database, with estimates.
type Storage struct {
	Relations []backend.RelationSize
	Bytes     int64
	// ProcessSamples is the number of processes in all stored snapshots, including unchanged ones.
	ProcessSamples int64
	// Compression is the compression ratio of compressed chunks, 0 if there are none.
	Compression float64
	// BytesPerSample is Bytes divided by ProcessSamples, 0 if there are none.
	BytesPerSample float64
	// SamplesPerDay is the number of process samples in the last 24 hours.
	SamplesPerDay int64
	// BytesPerDay is the estimated size of a day at the current rate after compression.
	BytesPerDay int64
	// BudgetDays is how many days fit into the disk budget at the current rate, 0 if unknown.
	BudgetDays float64
	Oldest     snapshot.Time
	Retention  backend.Retention
}

// Storage returns the disk usage.
func (q *Queries) Storage(ctx context.Context) (*Storage, error) {
	defer q.observe("storage", time.Now())
	sizes, err := q.backend.Sizes(ctx)
	if err != nil {
		return nil, err
	}
	st := &Storage{Relations: sizes, Retention: q.retention()}
	var compressed, uncompressed int64
	for _, size := range sizes {
		st.Bytes += size.Bytes
		compressed += size.CompressedBytes
		uncompressed += size.UncompressedBytes
	}
	now := q.now()
	// Use daily rollups for all raw data, and hourly ones for the last 24 hours.
	if err := q.pool.QueryRow(ctx, `SELECT coalesce(sum(process_count_sum), 0)::bigint FROM machine_1d WHERE bucket_key >= $1`,
		backend.StartOfDay(q.Horizon().Std())).Scan(&st.ProcessSamples); err != nil {
		return nil, fmt.Errorf("count process samples: %w", err)
	}
	if err := q.pool.QueryRow(ctx, `SELECT coalesce(sum(process_count_sum), 0)::bigint FROM machine_1h WHERE bucket_key >= $1`,
		now.Add(-24*time.Hour)).Scan(&st.SamplesPerDay); err != nil {
		return nil, fmt.Errorf("count process samples of a day: %w", err)
	}
	from, _, err := q.backend.Oldest(ctx, "snapshots")
	if err != nil {
		return nil, err
	}
	st.Oldest = snapshot.TimeOf(from)
	if compressed > 0 {
		st.Compression = float64(uncompressed) / float64(compressed)
	}
	if st.ProcessSamples > 0 {
		st.BytesPerSample = float64(st.Bytes) / float64(st.ProcessSamples)
		st.BytesPerDay = int64(float64(st.SamplesPerDay) * q.lastingBytesPerSample(st, compressed, uncompressed))
	}
	if st.Retention.BudgetBytes > 0 && st.BytesPerDay > 0 {
		st.BudgetDays = float64(st.Retention.BudgetBytes) / float64(st.BytesPerDay)
	}
	return st, nil
}

// lastingBytesPerSample returns the estimated bytes per process sample after everything is compressed at
// the current ratio.
func (q *Queries) lastingBytesPerSample(st *Storage, compressed, uncompressed int64) float64 {
	if compressed == 0 {
		return st.BytesPerSample
	}
	ratio := float64(compressed) / float64(uncompressed)
	lasting := 0.0
	for _, size := range st.Relations {
		if slices.Contains(backend.PlainTables, size.Relation) {
			lasting += float64(size.Bytes)
			continue
		}
		lasting += float64(size.CompressedBytes) + float64(size.Bytes-size.CompressedBytes)*ratio
	}
	return lasting / float64(st.ProcessSamples)
}
