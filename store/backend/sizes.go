package backend

import (
	"cmp"
	"context"
	"fmt"
	"math"
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
var PlainTables = []string{"machines", "processes", "commands", "owners"}

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
	for i := range sizes {
		if sizes[i].Relation != ShortLived { // it has several processes in a row
			continue
		}
		average, err := p.processesInRow(ctx)
		if err != nil {
			return nil, fmt.Errorf("count the processes in rows: %w", err)
		}
		sizes[i].Rows = int64(math.Round(float64(sizes[i].Rows) * average))
	}
	return addPlainTables(ctx, p.pool, sizes)
}

// sampledBytes is about how much is read of a table whose values are estimated from some of its rows.
const sampledBytes = 8 << 20

// processesInRow returns the average number of short-lived processes in a row.
func (p *postgres) processesInRow(ctx context.Context) (average float64, err error) {
	table := tableOf(ShortLived)
	var size int64
	if err := p.pool.QueryRow(ctx, `SELECT coalesce(sum(pg_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
		WHERE inhparent = $1::text::regclass`, table).Scan(&size); err != nil {
		return 0, err
	}
	err = p.pool.QueryRow(ctx, `SELECT coalesce(avg(processes), 0)::double precision
		FROM `+table+` TABLESAMPLE SYSTEM ($1::double precision)`,
		min(100, 100*sampledBytes/float64(max(size, 1)))).Scan(&average)
	return average, err
}

// chunkSizesSQL selects the sizes of the chunks of a hypertable t.relation, and their estimated number of rows. The
// catalog has the sizes of a chunk before and after it was compressed, its number of rows then, and that of the
// compressed rows that they became. What is left of these shows how many were deleted since. Late rows are missing
// until they are compressed. approximate_row_count is 0 for compressed chunks without ANALYZE. The number of live
// tuples is wrong if a chunk is vacuumed within a second after it was compressed, and compression does not reset it.
const chunkSizesSQL = `SELECT sum(pg_total_relation_size(c.oid) + coalesce(pg_total_relation_size(z.oid), 0)) AS bytes,
			sum(s.compressed_heap_size + s.compressed_toast_size + s.compressed_index_size) AS compressed,
			sum(s.uncompressed_heap_size + s.uncompressed_toast_size + s.uncompressed_index_size) AS uncompressed,
			sum(CASE WHEN s.chunk_id IS NULL THEN ` + estimatedRows + `
			WHEN z.reltuples < 0 THEN s.numrows_pre_compression
			ELSE s.numrows_pre_compression
				* coalesce(least(1, z.reltuples / nullif(s.numrows_post_compression, 0)), 1) END) AS rows
		FROM _timescaledb_catalog.hypertable h JOIN _timescaledb_catalog.chunk k ON k.hypertable_id = h.id
		JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', k.schema_name, k.table_name))
		LEFT JOIN _timescaledb_catalog.compression_chunk_size s ON s.chunk_id = k.id
		LEFT JOIN _timescaledb_catalog.chunk x ON x.id = s.compressed_chunk_id
		LEFT JOIN pg_class z ON z.oid = to_regclass(quote_ident(x.schema_name) || '.' || quote_ident(x.table_name))
		WHERE format('%I.%I', h.schema_name, h.table_name)::regclass = t.relation`

// Sizes implements Backend. The sizes are those of hypertable_size and hypertable_compression_stats, which take ten
// times as long.
func (p *timescale) Sizes(ctx context.Context) ([]RelationSize, error) {
	rows, err := p.pool.Query(ctx, `
		WITH tables AS (
			SELECT name, relation::regclass FROM unnest($1::text[], $4::text[]) s(name, relation)
			UNION ALL
			SELECT r.name, format('%I.%I', a.materialization_hypertable_schema, a.materialization_hypertable_name)::regclass
			FROM unnest($2::text[], $3::text[]) r(name, cagg) JOIN timescaledb_information.continuous_aggregates a
				ON a.view_schema = current_schema() AND a.view_name = r.cagg)
		SELECT t.name, (pg_total_relation_size(t.relation) + coalesce(n.bytes, 0))::bigint, coalesce(n.rows, 0)::bigint,
			coalesce(n.compressed, 0)::bigint, coalesce(n.uncompressed, 0)::bigint
		FROM tables t LEFT JOIN LATERAL (`+chunkSizesSQL+`) n ON true`,
		Series, Rollups, aggregatesOf(Rollups), aggregatesOf(Series))
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
