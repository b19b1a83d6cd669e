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
	// BytesPerDay is the estimated size of the samples of the last 24 hours, after compression if anything is
	// compressed. It is nil if there is data of fewer than minForecastHours.
	BytesPerDay *int64
	// BudgetDays is how many days of snapshots fit into the disk budget at the current rate, beside the rollups and
	// identities that are stored now, and the short-lived processes of at most their retention. It is nil if there is
	// no budget or no BytesPerDay.
	BudgetDays *float64
	// Oldest is the time of the oldest stored snapshot, 0 if there is none.
	Oldest snapshot.Time
	// RollupsFailed is the number of rollups that could not be computed.
	RollupsFailed int64
	Retention     backend.Retention
}

// A day is only estimated if the last week has data of minForecastHours. Usage depends on the time of day, and a single
// old snapshot is not a day of data.
const (
	minForecastHours = 24
	forecastDays     = 7
)

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
	if st.RollupsFailed, err = q.backend.FailedRollups(ctx); err != nil {
		return nil, err
	}
	now := q.now()
	if st.Oldest, err = q.oldestSnapshot(ctx); err != nil {
		return nil, err
	}
	// A disk budget drops raw data before its retention ends, but keeps the rollups. A snapshot at midnight is in the
	// rollup of the day before.
	stored := max(q.Horizon(), st.Oldest)
	if err := q.pool.QueryRow(ctx, `SELECT coalesce(sum(process_count_sum), 0)::bigint FROM machine_1d WHERE bucket_key >= $1`,
		backend.StartOfDay((stored - 1).Std())).Scan(&st.ProcessSamples); err != nil {
		return nil, fmt.Errorf("count process samples: %w", err)
	}
	if st.SamplesPerDay, err = q.samplesSince(ctx, now.Add(-24*time.Hour)); err != nil {
		return nil, err
	}
	if compressed > 0 {
		st.Compression = float64(uncompressed) / float64(compressed)
	}
	if st.ProcessSamples > 0 {
		st.BytesPerSample = float64(st.Bytes) / float64(st.ProcessSamples)
		var hours int
		if err := q.pool.QueryRow(ctx, `SELECT count(DISTINCT bucket) FROM machine_1h WHERE bucket_key >= $1`,
			now.AddDate(0, 0, -forecastDays)).Scan(&hours); err != nil {
			return nil, fmt.Errorf("count the hours with data: %w", err)
		}
		if hours >= minForecastHours {
			share, err := q.shortLivedShare(ctx, now.Add(-24*time.Hour))
			if err != nil {
				return nil, err
			}
			st.forecast(share)
		}
	}
	return st, nil
}

// samplesSince returns the number of process samples after a time. It adds those until the next minute to the rollups
// of the minutes until the next hour, and to those of the hours after it.
func (q *Queries) samplesSince(ctx context.Context, from time.Time) (int64, error) {
	minute, hour := ceil(from, time.Minute), ceil(from, time.Hour)
	var samples int64
	if err := q.pool.QueryRow(ctx, `SELECT (
			(SELECT coalesce(sum(first.processes), 0) FROM machines m CROSS JOIN LATERAL (
				SELECT sum(process_count) AS processes FROM snapshots
				WHERE machine = m.id AND ts > $1 AND ts <= $2) first)
			+ (SELECT coalesce(sum(process_count_sum), 0) FROM machine_1m WHERE bucket_key >= $2 AND bucket_key < $3)
			+ (SELECT coalesce(sum(process_count_sum), 0) FROM machine_1h WHERE bucket_key >= $3))::bigint`,
		from, minute, hour).Scan(&samples); err != nil {
		return 0, fmt.Errorf("count process samples since %s: %w", from, err)
	}
	return samples, nil
}

// shortLivedShare returns the share of the stored short-lived processes that are newer than a time, 0 if there are
// none. It counts whole hours.
func (q *Queries) shortLivedShare(ctx context.Context, from time.Time) (float64, error) {
	var share *float64
	if err := q.pool.QueryRow(ctx, `SELECT (sum(processes) FILTER (WHERE bucket_key >= $1))::double precision
			/ sum(processes)::double precision
		FROM short_lived_1h WHERE bucket_key >= $2`, from, q.shortLivedFrom()).Scan(&share); err != nil {
		return 0, fmt.Errorf("count short-lived processes: %w", err)
	}
	if share == nil {
		return 0, nil
	}
	return *share, nil
}

// forecast sets BytesPerDay and BudgetDays. shortLivedShare is the share of the short-lived processes that are of the
// last day: their retention is shorter than that of samples.
func (st *Storage) forecast(shortLivedShare float64) {
	var series, shortLived, others float64 // bytes after everything is compressed
	for _, size := range st.Relations {
		bytes := float64(size.Bytes)
		if st.Compression > 0 && !slices.Contains(backend.PlainTables, size.Relation) {
			bytes = float64(size.CompressedBytes) + float64(size.Bytes-size.CompressedBytes)/st.Compression
		}
		switch {
		case size.Relation == backend.ShortLived:
			shortLived += bytes * shortLivedShare
		case slices.Contains(backend.Series, size.Relation):
			series += bytes
		default:
			others += bytes
		}
	}
	share := float64(st.SamplesPerDay) / float64(st.ProcessSamples)
	perDay := int64((series+others)*share + shortLived)
	st.BytesPerDay = &perDay
	left := max(0, float64(st.Retention.BudgetBytes)-others)
	if st.Retention.BudgetBytes == 0 || series*share+shortLived == 0 {
		return
	}
	days := left / (series*share + shortLived)
	if kept := float64(st.Retention.ExitsDays); days > kept && series > 0 {
		days = max(kept, (left-kept*shortLived)/(series*share))
	}
	st.BudgetDays = &days
}

// oldestSnapshot returns the time of the oldest stored snapshot, 0 if there is none.
func (q *Queries) oldestSnapshot(ctx context.Context) (snapshot.Time, error) {
	from, to, err := q.backend.Oldest(ctx, "snapshots")
	if err != nil || from.IsZero() {
		return 0, err
	}
	// Usually, there is one in the oldest partition. The index is by machine and time.
	const sql = `SELECT min(first.ts) FROM machines m
		CROSS JOIN LATERAL (SELECT ts FROM snapshots WHERE machine = m.id AND ts >= $1 AND ts < $2 ORDER BY ts LIMIT 1) first`
	for _, end := range []time.Time{to, q.now().Add(2 * snapshot.MaxClockSkew)} {
		var oldest *time.Time
		if err := q.pool.QueryRow(ctx, sql, from, end).Scan(&oldest); err != nil {
			return 0, fmt.Errorf("read the time of the oldest snapshot: %w", err)
		}
		if oldest != nil {
			return snapshot.TimeOf(*oldest), nil
		}
	}
	return 0, nil
}
