package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// RelationSize is what a relation takes on disk, its indexes included.
type RelationSize struct {
	Relation          string `json:"relation"`
	Bytes             int64  `json:"bytes" doc:"On disk, with indexes"`
	Rows              int64  `json:"rows" doc:"As the database estimates them"`
	CompressedBytes   int64  `json:"compressed_bytes" doc:"Of these, in compressed chunks"`
	UncompressedBytes int64  `json:"uncompressed_bytes" doc:"What those chunks took before compression"`
}

func bySize(a, b RelationSize) int { return cmp.Compare(b.Bytes, a.Bytes) }

// Storage is what everything takes, and how long it will last.
type Storage struct {
	Relations []RelationSize
	Bytes     int64
	// ProcessSamples is how many the kept snapshots stand for, each process at each instant.
	ProcessSamples int64
	// Compression is how many times smaller compressed chunks are; 0 if there are none.
	Compression float64
	// BytesPerSample is Bytes over ProcessSamples; 0 if there are none.
	BytesPerSample float64
	// SamplesPerDay are those of the last 24 hours.
	SamplesPerDay int64
	// BytesPerDay is what a day at today's rate will take once it is compressed.
	BytesPerDay int64
	// BudgetDays is how many days fit into the budget at today's rate; 0 without a budget or a rate.
	BudgetDays float64
	Oldest     snapshot.Time
	Retention  Retention
}

// plainTables are the relations that are neither series nor rollups.
var plainTables = []string{"machines", "processes"}

// relationSizes lists what everything takes, the largest first.
func (s *Store) relationSizes(ctx context.Context) ([]RelationSize, error) {
	sizes, err := s.profile.sizes(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(
		ctx,
		`SELECT relname, pg_total_relation_size(oid), greatest(reltuples, 0)::bigint FROM pg_class
		WHERE relname = ANY($1) AND relnamespace = current_schema()::regnamespace`,
		plainTables,
	)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	plain, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RelationSize, error) {
		var size RelationSize
		err := row.Scan(&size.Relation, &size.Bytes, &size.Rows)
		return size, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	sizes = append(sizes, plain...)
	slices.SortFunc(sizes, bySize)
	return sizes, nil
}

// Storage tells what everything takes.
func (s *Store) Storage(ctx context.Context) (*Storage, error) {
	defer s.metrics.observeRead("storage", time.Now())
	sizes, err := s.relationSizes(ctx)
	if err != nil {
		return nil, err
	}
	st := &Storage{Relations: sizes, Retention: s.Retention()}
	var compressed, uncompressed int64
	for _, size := range sizes {
		st.Bytes += size.Bytes
		compressed += size.CompressedBytes
		uncompressed += size.UncompressedBytes
	}
	now := s.cfg.Now()
	// Days from the rollup, for raw data that is kept; the last 24 hours from the finer one.
	if err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(process_count_avg * samples), 0)::bigint FROM machine_1d WHERE bucket >= $1`,
		midnight(s.Horizon().Std())).Scan(&st.ProcessSamples); err != nil {
		return nil, fmt.Errorf("count process samples: %w", err)
	}
	if err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(process_count_avg * samples), 0)::bigint FROM machine_1h WHERE bucket >= $1`,
		now.Add(-24*time.Hour)).Scan(&st.SamplesPerDay); err != nil {
		return nil, fmt.Errorf("count process samples of a day: %w", err)
	}
	from, _, err := s.profile.oldest(ctx, "snapshots")
	if err != nil {
		return nil, err
	}
	st.Oldest = snapshot.TimeOf(from)
	if compressed > 0 {
		st.Compression = float64(uncompressed) / float64(compressed)
	}
	if st.ProcessSamples > 0 {
		st.BytesPerSample = float64(st.Bytes) / float64(st.ProcessSamples)
		st.BytesPerDay = int64(float64(st.SamplesPerDay) * s.lastingBytesPerSample(st, compressed, uncompressed))
	}
	if st.Retention.BudgetBytes > 0 && st.BytesPerDay > 0 {
		st.BudgetDays = float64(st.Retention.BudgetBytes) / float64(st.BytesPerDay)
	}
	return st, nil
}

// lastingBytesPerSample is what a process sample takes in the long run: as now, but
// with what is not compressed yet at the ratio of what is.
func (s *Store) lastingBytesPerSample(st *Storage, compressed, uncompressed int64) float64 {
	if compressed == 0 {
		return st.BytesPerSample
	}
	ratio := float64(compressed) / float64(uncompressed)
	lasting := 0.0
	for _, size := range st.Relations {
		if slices.Contains(plainTables, size.Relation) {
			lasting += float64(size.Bytes)
			continue
		}
		lasting += float64(size.CompressedBytes) + float64(size.Bytes-size.CompressedBytes)*ratio
	}
	return lasting / float64(st.ProcessSamples)
}

// sizes adds up the partitions.
func (p *postgresProfile) sizes(ctx context.Context) ([]RelationSize, error) {
	tables := make([]string, 0, len(series)+len(rollups))
	names := make([]string, 0, cap(tables))
	for _, relation := range slices.Concat(series, rollups) {
		names, tables = append(names, relation), append(tables, tableOf(relation))
	}
	rows, err := p.pool.Query(ctx, `
		SELECT t.name, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
		FROM unnest($1::text[], $2::text[]) t(name, parent)
		LEFT JOIN pg_inherits i ON i.inhparent = t.parent::regclass LEFT JOIN pg_class c ON c.oid = i.inhrelid
		GROUP BY t.name`, names, tables)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of partitions: %w", err)
	}
	sizes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RelationSize, error) {
		var size RelationSize
		err := row.Scan(&size.Relation, &size.Bytes, &size.Rows)
		return size, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the sizes of partitions: %w", err)
	}
	return sizes, nil
}
