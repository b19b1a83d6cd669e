package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/store/schema"
)

// timescale stores each series in a hypertable and each rollup in a continuous aggregate. TimescaleDB's own jobs
// refresh the rollups. This server compresses and drops chunks.
type timescale struct {
	maintenance

	pool    *pgxpool.Pool
	logger  *slog.Logger
	started time.Time

	failed atomic.Int64 // rollups whose last refresh failed

	mu   sync.Mutex
	keep Retention            // of the last ApplyRetention
	ran  map[string]time.Time // when this server last refreshed a rollup itself
}

func newTimescale(pool *pgxpool.Pool, logger *slog.Logger, now time.Time) *timescale {
	return &timescale{
		maintenance: maintenance{logger: logger, sources: timescaleSources, firstBucket: firstRefreshed},
		pool:        pool, logger: logger, started: now, ran: make(map[string]time.Time),
	}
}

// Name implements Backend.
func (p *timescale) Name() string { return Timescale }

// EnsurePartitions implements Backend. It does nothing, because TimescaleDB creates chunks on insert.
func (p *timescale) EnsurePartitions(context.Context, []string, []time.Time) error { return nil }

// InvalidatePartitions implements Backend.
func (p *timescale) InvalidatePartitions() {}

// LoadFloors implements Backend.
func (p *timescale) LoadFloors(ctx context.Context) error { return p.loadFloors(ctx, p.pool) }

// ShortLivedTable implements Backend.
func (p *timescale) ShortLivedTable() *schema.ShortLivedTable { return schema.ShortLivedRows }

// MarkDirty implements Backend. It does nothing, because TimescaleDB tracks changes itself.
func (p *timescale) MarkDirty(context.Context, pgx.Tx, []int32, []time.Time) error { return nil }

// chunkIntervals are the possible chunk intervals. They divide a day, so that no chunk crosses
// midnight. They are whole hours, so that no compressed segment crosses chunks.
var chunkIntervals = []time.Duration{24 * time.Hour, 12 * time.Hour, 6 * time.Hour, 3 * time.Hour, time.Hour}

// CreateAhead implements Backend. It adjusts the interval of future chunks to the current ingest rate.
func (p *timescale) CreateAhead(ctx context.Context, now time.Time) (int, error) {
	for _, relation := range Series {
		if err := p.fitChunks(ctx, relation, now); err != nil {
			return 0, fmt.Errorf("fit the chunks of %s: %w", relation, err)
		}
	}
	return daysAhead, nil
}

// shortLivedChunkBytes is the largest size of a chunk of short-lived processes before it is compressed, unless it
// covers only an hour. Chunks are compressed after their end, and take ten times the space until then.
const shortLivedChunkBytes = 64 << 20

// fitChunks sets the longest interval at which a chunk and its indexes fit into half of
// shared_buffers. Inserts then find the index pages that they need in memory.
func (p *timescale) fitChunks(ctx context.Context, relation string, now time.Time) error {
	var from time.Time
	var bytes, memory int64
	var interval time.Duration
	err := p.pool.QueryRow(ctx, `
		SELECT c.range_start, pg_total_relation_size(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass),
			pg_size_bytes(current_setting('shared_buffers')), d.time_interval
		FROM timescaledb_information.chunks c
		JOIN timescaledb_information.dimensions d ON d.hypertable_schema = c.hypertable_schema AND d.hypertable_name = c.hypertable_name
		WHERE c.hypertable_schema = current_schema() AND c.hypertable_name = $1 AND NOT c.is_compressed AND c.range_start <= $2 AND c.range_end > $2`, aggregateOf(relation), now).
		Scan(&from, &bytes, &memory, &interval)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	age := now.Sub(from)
	if age < 30*time.Minute { // too early to estimate the rate
		return nil
	}
	limit := memory / 2
	if relation == ShortLived {
		limit = min(limit, shortLivedChunkBytes)
	}
	fit := fitInterval(bytes, age, limit)
	if fit == interval {
		return nil
	}
	p.logger.Info(
		"changing the interval of future chunks", "relation", relation, "from", interval, "to", fit,
		"bytes_per_hour", int64(float64(bytes)/age.Hours()), "memory", memory,
	)
	err = withLockTimeout(ctx, p.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT set_chunk_time_interval($1::text::regclass, $2::interval)`, aggregateOf(relation), fit)
		return err
	})
	if IsLockTimeout(err) {
		p.deferWork("cannot change the interval of future chunks", "relation", relation)
		return nil
	}
	return err
}

// fitInterval returns the longest interval at which a chunk stays below limit bytes, if it grew to
// bytes in age. The shortest interval is an hour.
func fitInterval(bytes int64, age time.Duration, limit int64) time.Duration {
	for _, interval := range chunkIntervals {
		if float64(bytes)*float64(interval)/float64(age) <= float64(limit) {
			return interval
		}
	}
	return chunkIntervals[len(chunkIntervals)-1]
}

// RolledUpUntil implements Backend.
func (p *timescale) RolledUpUntil(ctx context.Context, _ int32, now time.Time) (time.Time, error) {
	hour := now.UTC().Truncate(time.Hour)
	watermark, err := p.watermark(ctx)
	if err != nil {
		return hour, err
	}
	if watermark.Before(hour.Add(-2 * time.Hour)) {
		return hour.Add(-2 * time.Hour), nil
	}
	if watermark.Before(hour) {
		return watermark.Truncate(time.Hour), nil
	}
	return hour, nil
}

// watermark returns the time up to which process_1h is materialized, zero if nothing is. It is 1 ms after a full hour.
func (p *timescale) watermark(ctx context.Context) (time.Time, error) {
	var watermark *time.Time
	err := p.pool.QueryRow(ctx, `SELECT _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(mat_hypertable_id))
		FROM _timescaledb_catalog.continuous_agg WHERE user_view_schema = current_schema() AND user_view_name = $1`,
		aggregateOf("process_1h")).Scan(&watermark)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the watermark of the rollups: %w", err)
	}
	if watermark == nil {
		return time.Time{}, nil
	}
	return *watermark, nil
}

// RefreshLag implements Backend. It looks for the first snapshot after the watermark, machine by
// machine, because the machine is the first column of the index.
func (p *timescale) RefreshLag(ctx context.Context, now time.Time) (time.Duration, error) {
	watermark, err := p.watermark(ctx)
	if err != nil {
		return 0, err
	}
	hour := now.UTC().Truncate(time.Hour)
	if !watermark.Before(hour) {
		return 0, nil
	}
	var first *time.Time
	if err := p.pool.QueryRow(ctx, `SELECT min(s.ts) FROM machines m
		CROSS JOIN LATERAL (SELECT ts FROM snapshots WHERE machine = m.id AND ts >= $1 AND ts < $2 ORDER BY ts LIMIT 1) s
		WHERE m.last_snapshot >= $1`, watermark, hour).Scan(&first); err != nil {
		return 0, fmt.Errorf("look for hours without rollups: %w", err)
	}
	if first == nil {
		return 0, nil
	}
	return max(0, now.Sub(first.UTC().Truncate(time.Hour).Add(time.Hour))), nil
}

// DropBefore implements Backend. See floors.go for the order of its steps.
func (p *timescale) DropBefore(ctx context.Context, relation string, cutoff, now time.Time) (int, error) {
	// This is faster than to list all chunks, and most of the time there is nothing to drop.
	var found bool
	if err := p.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM show_chunks($1::text::regclass, older_than => $2::timestamptz))`,
		aggregateOf(relation), cutoff).Scan(&found); err != nil {
		return 0, fmt.Errorf("look for expired chunks of %s: %w", relation, err)
	}
	if !found {
		return 0, nil
	}
	chunks, err := p.spans(ctx, relation)
	if err != nil {
		return 0, err
	}
	expired := 0
	for expired < len(chunks) && !chunks[expired].to.After(cutoff) {
		expired++
	}
	if expired == 0 {
		return 0, nil
	}
	dropped := 0
	locked, err := exclusively(ctx, p.pool, func(conn *pgxpool.Conn) error {
		ready, err := p.prepareDrop(ctx, conn, relation, chunks[:expired], now)
		if err != nil {
			return err
		}
		for _, one := range chunks[:ready] {
			ok, err := p.dropChunk(ctx, conn, relation, one)
			if err != nil {
				return err
			}
			if ok {
				dropped++
			}
		}
		return nil
	})
	if err == nil && !locked {
		p.deferWork("another server is refreshing rollups or dropping chunks", "relation", relation)
	}
	return dropped, err
}

// prepareDrop brings what is computed from chunks up to date and moves the floor of their relation. It returns how
// many of the chunks may be dropped.
func (p *timescale) prepareDrop(
	ctx context.Context, conn *pgxpool.Conn, relation string, chunks []span, now time.Time,
) (ready int, err error) {
	complete, err := readFloors(ctx, conn)
	if err != nil {
		return 0, err
	}
	for ready < len(chunks) {
		ok, refreshErr := p.makeUpToDate(ctx, conn, relation, complete, chunks[ready])
		if refreshErr != nil || !ok {
			err = refreshErr
			p.deferWork("keeping a chunk whose rollups are not up to date", "relation", relation,
				"from", chunks[ready].from)
			break
		}
		ready++
	}
	if ready == 0 {
		return 0, err
	}
	p.mu.Lock()
	keep := p.keep
	p.mu.Unlock()
	if keep == (Retention{}) {
		return 0, errors.Join(err, errors.New("drop chunks: no retention was applied yet"))
	}
	raiseErr := withLockTimeout(ctx, conn, func(tx pgx.Tx) error {
		var err error
		if complete, err = lockFloors(ctx, tx); err != nil {
			return err
		}
		if ready, err = p.countUpToDate(ctx, tx, relation, complete, chunks[:ready]); err != nil || ready == 0 {
			return err
		}
		if err := complete.raise(ctx, tx, relation, chunks[ready-1].to); err != nil {
			return err
		}
		return p.applyPolicies(ctx, tx, keep, complete, now)
	})
	if IsLockTimeout(raiseErr) {
		p.deferWork("keeping chunks while late data is stored", "relation", relation)
		return 0, err
	}
	if raiseErr != nil {
		return 0, errors.Join(err, fmt.Errorf("exclude chunks of %s from refreshes: %w", relation, raiseErr))
	}
	p.setFloors(complete)
	if ready == 0 {
		return 0, err
	}
	// A refresh that began before may still include the chunks.
	running, runningErr := p.isRefreshing(ctx, conn)
	if running || runningErr != nil {
		p.deferWork("keeping chunks while a refresh is running", "relation", relation)
		return 0, errors.Join(err, runningErr)
	}
	return ready, err
}

// countUpToDate returns how many of the first chunks have rollups that are still up to date, although late data was
// stored in the meantime. The floors must be locked.
func (p *timescale) countUpToDate(
	ctx context.Context, tx pgx.Tx, relation string, complete floors, chunks []span,
) (n int, err error) {
	for ; n < len(chunks); n++ {
		ok, err := p.isUpToDate(ctx, tx, relation, complete, chunks[n])
		if err != nil {
			return 0, err
		}
		if !ok {
			p.deferWork("keeping a chunk in which late data was stored", "relation", relation, "from", chunks[n].from)
			break
		}
	}
	return n, nil
}

// dropChunk drops a chunk. It returns false if the chunk is being read. Each chunk has a transaction of its own, so
// that a chunk that is being read does not keep the others.
func (p *timescale) dropChunk(ctx context.Context, conn *pgxpool.Conn, relation string, one span) (bool, error) {
	err := withLockTimeout(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(
			ctx,
			`SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz, newer_than => $3::timestamptz)`,
			aggregateOf(relation), one.to, one.from,
		)
		return err
	})
	if IsLockTimeout(err) {
		p.deferWork("chunk is in use", "relation", relation, "from", one.from)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("drop the chunk of %s: %w", one.from, err)
	}
	p.logger.Info("dropped a chunk", "relation", relation, "from", one.from, "to", one.to)
	return true, nil
}

// spans returns the chunks of a relation, the oldest first.
func (p *timescale) spans(ctx context.Context, relation string) ([]span, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT c.range_start, c.range_end FROM timescaledb_information.chunks c
		LEFT JOIN timescaledb_information.continuous_aggregates a
			ON a.materialization_hypertable_schema = c.hypertable_schema
			AND a.materialization_hypertable_name = c.hypertable_name
		WHERE coalesce(a.view_schema, c.hypertable_schema) = current_schema() AND coalesce(a.view_name, c.hypertable_name) = $1
		ORDER BY c.range_start`, aggregateOf(relation))
	if err != nil {
		return nil, fmt.Errorf("list chunks of %s: %w", relation, err)
	}
	chunks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (span, error) {
		var one span
		err := row.Scan(&one.from, &one.to)
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("list chunks of %s: %w", relation, err)
	}
	return chunks, nil
}

// Oldest implements Backend.
func (p *timescale) Oldest(ctx context.Context, relation string) (from, to time.Time, err error) {
	chunks, err := p.spans(ctx, relation)
	if err != nil || len(chunks) == 0 {
		return from, to, err
	}
	return chunks[0].from, chunks[0].to, nil
}
