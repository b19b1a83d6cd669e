package backend

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// RelationSize is the size of a relation on disk, including its indexes.
type RelationSize struct {
	Relation          string `json:"relation"`
	Bytes             int64  `json:"bytes" doc:"Size on disk, including indexes"`
	Rows              int64  `json:"rows" doc:"Row count, as estimated by the database"`
	CompressedBytes   int64  `json:"compressed_bytes" doc:"The part of bytes that is in compressed chunks"`
	UncompressedBytes int64  `json:"uncompressed_bytes" doc:"Size of those chunks before compression"`
}

// estimatedRows is the estimated number of rows of a table, a row c of pg_class. reltuples is that of the last VACUUM
// or ANALYZE, and -1 before the first one. The number of live tuples is counted, but is lost in a crash.
const estimatedRows = `greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)`

// PlainTables lists the tables that are neither series nor rollups.
var PlainTables = []string{"machines", "processes"}

// Sizes implements Backend by adding up the partitions.
func (p *postgres) Sizes(ctx context.Context) ([]RelationSize, error) {
	tables := make([]string, 0, len(Series)+len(Rollups))
	names := make([]string, 0, cap(tables))
	for _, relation := range slices.Concat(Series, Rollups) {
		names, tables = append(names, relation), append(tables, tableOf(relation))
	}
	rows, err := p.pool.Query(ctx, `
		SELECT t.name, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, coalesce(sum(`+estimatedRows+`), 0)::bigint
		FROM unnest($1::text[], $2::text[]) t(name, parent)
		LEFT JOIN pg_inherits i ON i.inhparent = t.parent::regclass LEFT JOIN pg_class c ON c.oid = i.inhrelid
		GROUP BY t.name`, names, tables)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of partitions: %w", err)
	}
	sizes, err := pgx.CollectRows(rows, scanSize)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of partitions: %w", err)
	}
	return addPlainTables(ctx, p.pool, sizes)
}

// hypertableRowsSQL selects the estimated number of rows of a hypertable t.relation. The catalog has the number of rows
// that a chunk had when it was compressed, and of the compressed rows that they became. What is left of these shows how
// many were deleted since. Late rows are missing until they are compressed. approximate_row_count is 0 for compressed
// chunks without ANALYZE, and compression does not reset the number of live tuples.
const hypertableRowsSQL = `SELECT sum(CASE WHEN s.chunk_id IS NULL THEN ` + estimatedRows + `
			WHEN z.reltuples < 0 AND pg_stat_get_live_tuples(z.oid) = 0 THEN s.numrows_pre_compression
			ELSE s.numrows_pre_compression * coalesce(least(1, greatest(z.reltuples, pg_stat_get_live_tuples(z.oid))
				/ nullif(s.numrows_post_compression, 0)), 1) END) AS rows
		FROM _timescaledb_catalog.hypertable h JOIN _timescaledb_catalog.chunk k ON k.hypertable_id = h.id
		JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', k.schema_name, k.table_name))
		LEFT JOIN _timescaledb_catalog.compression_chunk_size s ON s.chunk_id = k.id
		LEFT JOIN _timescaledb_catalog.chunk x ON x.id = s.compressed_chunk_id
		LEFT JOIN pg_class z ON z.oid = to_regclass(quote_ident(x.schema_name) || '.' || quote_ident(x.table_name))
		WHERE format('%I.%I', h.schema_name, h.table_name)::regclass = t.relation`

// Sizes implements Backend. TimescaleDB's sizes include compressed and uncompressed chunks.
func (p *timescale) Sizes(ctx context.Context) ([]RelationSize, error) {
	caggs := make([]string, len(Rollups))
	for i, relation := range Rollups {
		caggs[i] = aggregateOf(relation)
	}
	rows, err := p.pool.Query(ctx, `
		WITH tables AS (
			SELECT name, name::regclass AS relation FROM unnest($1::text[]) name
			UNION ALL
			SELECT r.name, format('%I.%I', a.materialization_hypertable_schema, a.materialization_hypertable_name)::regclass
			FROM unnest($2::text[], $3::text[]) r(name, cagg) JOIN timescaledb_information.continuous_aggregates a
				ON a.view_schema = current_schema() AND a.view_name = r.cagg)
		SELECT t.name, coalesce(hypertable_size(t.relation), 0), coalesce(n.rows, 0)::bigint,
			coalesce(c.after_compression_total_bytes, 0)::bigint, coalesce(c.before_compression_total_bytes, 0)::bigint
		FROM tables t LEFT JOIN LATERAL hypertable_compression_stats(t.relation) c ON true
		LEFT JOIN LATERAL (`+hypertableRowsSQL+`) n ON true`, Series, Rollups, caggs)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of hypertables: %w", err)
	}
	sizes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RelationSize, error) {
		var size RelationSize
		err := row.Scan(&size.Relation, &size.Bytes, &size.Rows, &size.CompressedBytes, &size.UncompressedBytes)
		return size, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the sizes of hypertables: %w", err)
	}
	return addPlainTables(ctx, p.pool, sizes)
}

// addPlainTables appends the sizes of PlainTables and sorts the list, the largest first.
func addPlainTables(ctx context.Context, pool *pgxpool.Pool, sizes []RelationSize) ([]RelationSize, error) {
	rows, err := pool.Query(ctx, `SELECT relname, pg_total_relation_size(oid), `+estimatedRows+`::bigint
		FROM pg_class c WHERE relname = ANY($1) AND relnamespace = current_schema()::regnamespace`, PlainTables)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	plain, err := pgx.CollectRows(rows, scanSize)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	sizes = append(sizes, plain...)
	slices.SortFunc(sizes, func(a, b RelationSize) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return sizes, nil
}

func scanSize(row pgx.CollectableRow) (RelationSize, error) {
	var size RelationSize
	err := row.Scan(&size.Relation, &size.Bytes, &size.Rows)
	return size, err
}
