package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DeleteMachine implements Backend. It deletes an hour of a relation per statement, so that each statement is short. It
// deletes the rollups while none are refreshed: a refresh that has read the machine's rows would add them again.
func (p *postgres) DeleteMachine(ctx context.Context, machine int32) (done bool, err error) {
	for _, relation := range Series {
		for {
			found, err := p.deleteDay(ctx, relation, machine)
			if err != nil {
				return false, fmt.Errorf("delete %s of a machine: %w", relation, err)
			}
			if !found {
				break
			}
		}
	}
	done, err = exclusively(ctx, p.pool, func(conn *pgxpool.Conn) error { return p.deleteRollups(ctx, conn, machine) })
	if err != nil {
		return false, fmt.Errorf("delete rollups of a machine: %w", err)
	}
	if !done {
		p.deferWork("another server is refreshing rollups of a deleted machine", "machine", machine)
	}
	return done, nil
}

// deleteDay deletes a machine's rows of its first day in a relation. It returns false if there are none. The last
// snapshot of the day is deleted after the partition was rewritten, so that a deletion that was interrupted finds the
// day again.
func (p *postgres) deleteDay(ctx context.Context, relation string, machine int32) (found bool, err error) {
	var first *time.Time
	table := tableOf(relation)
	err = p.pool.QueryRow(ctx, `SELECT min(ts) FROM `+table+` WHERE machine = $1`, machine).Scan(&first)
	if err != nil || first == nil {
		return false, err
	}
	day := StartOfDay(*first)
	end := daily.next(day)
	var last time.Time
	if err := p.pool.QueryRow(ctx, `SELECT max(ts) FROM `+table+` WHERE machine = $1 AND ts >= $2 AND ts < $3`,
		machine, day, end).Scan(&last); err != nil {
		return false, err
	}
	var deleted int64
	remove := func(from, to time.Time) error {
		tag, err := p.pool.Exec(ctx, `DELETE FROM `+table+` WHERE machine = $1 AND ts >= $2 AND ts < $3`,
			pgx.QueryExecModeExec, machine, from, to)
		deleted += tag.RowsAffected()
		return err
	}
	for from := *first; from.Before(last); from = from.Add(time.Hour) {
		to := from.Add(time.Hour)
		if to.After(last) {
			to = last
		}
		if err := remove(from, to); err != nil {
			return false, err
		}
	}
	if err := p.compact(ctx, relation, day, deleted); err != nil {
		return false, fmt.Errorf("return the space of deleted rows of %s: %w", day.Format(time.DateOnly), err)
	}
	return true, remove(last, end)
}

// compact rewrites the partition of a day after rows of it were deleted, if that is worth it. A plain vacuum would
// keep the size of its files, and a day that is over does not need the space again. It does nothing if the day is not
// over or the partition is in use.
func (p *postgres) compact(ctx context.Context, relation string, day time.Time, deleted int64) error {
	name := tableOf(relation) + "_" + day.Format(daily.layout)
	var isOver bool
	if err := p.pool.QueryRow(ctx,
		`SELECT to_regclass($1) IS NOT NULL AND now() > $2::timestamptz + interval '12 hours'`,
		name, daily.next(day)).Scan(&isOver); err != nil || !isOver {
		return err
	}
	rewrite, err := isWorthRewriting(ctx, p.pool, name, deleted)
	if err != nil || !rewrite {
		return err
	}
	err = rewriteTable(ctx, p.pool, name)
	if IsLockTimeout(err) {
		p.logger.Info("a partition with deleted rows is in use, leaving it to autovacuum", "partition", name)
		return nil
	}
	return err
}

// Reclaimable implements Backend.
func (p *postgres) Reclaimable(ctx context.Context) (int64, error) {
	return reclaimable(ctx, p.pool, `(SELECT relnamespace FROM pg_class WHERE oid = 'snapshots'::regclass)`)
}

// reclaimable returns the size of deleted rows, as estimated by the database, in the tables of schemas.
func reclaimable(ctx context.Context, db querier, schemas string) (bytes int64, err error) {
	err = db.QueryRow(ctx, `
		SELECT coalesce(sum(pg_relation_size(s.relid) * (s.n_dead_tup::double precision / (s.n_live_tup + s.n_dead_tup))), 0)::bigint
		FROM pg_class c JOIN pg_stat_all_tables s ON s.relid IN (c.oid, nullif(c.reltoastrelid, 0))
		WHERE c.relkind = 'r' AND c.relnamespace IN `+schemas+` AND s.n_dead_tup > 0`).Scan(&bytes)
	if err != nil {
		return 0, fmt.Errorf("estimate what a vacuum frees: %w", err)
	}
	return bytes, nil
}

// Reclaimable implements Backend.
func (p *timescale) Reclaimable(ctx context.Context) (int64, error) {
	return reclaimable(ctx, p.pool, `(current_schema()::regnamespace, '_timescaledb_internal'::regnamespace)`)
}

// DeleteMachine implements Backend. Chunks are compressed by machine, so whole rows of the compressed table are
// deleted. The rollups are deleted the same way. A DELETE from the hypertable would instead decompress the machine, in
// some versions of TimescaleDB, and refresh the rollups of all machines for all of the time. Rollups before the floor
// would remain.
//
// A refresh that has read the machine's rows adds them again. So the deletion is only done when no refresh was running
// at the start of a pass over the rollups that found nothing.
func (p *timescale) DeleteMachine(ctx context.Context, machine int32) (done bool, err error) {
	if _, err := p.deleteFrom(ctx, slices.Concat(Series, Rollups), machine); err != nil {
		return false, err
	}
	running, err := p.isRefreshing(ctx, p.pool)
	if err != nil {
		return false, err
	}
	found := false
	if !running {
		found, err = p.deleteFrom(ctx, Rollups, machine)
	}
	if err == nil && (running || found) {
		p.deferWork("rollups of a deleted machine are being refreshed", "machine", machine)
	}
	return err == nil && !running && !found, err
}

// deleteFrom deletes a machine's rows of relations, and reports whether there were any.
func (p *timescale) deleteFrom(ctx context.Context, relations []string, machine int32) (found bool, err error) {
	chunks, err := p.chunkTables(ctx, relations, time.Time{})
	if err != nil {
		return false, err
	}
	for _, one := range chunks {
		deleted, err := p.deleteFromChunk(ctx, &one, machine)
		if err != nil {
			return found, fmt.Errorf("delete %s of a machine: %w", one.relation, err)
		}
		if len(deleted) == 0 {
			continue
		}
		found = true
		if err := p.vacuum(ctx, one, deleted); err != nil {
			return found, fmt.Errorf("vacuum a chunk of %s: %w", one.relation, err)
		}
	}
	return found, nil
}

// deleteFromChunk deletes a machine's rows of a chunk, and returns how many it deleted of each table. A chunk that is
// gone has none.
func (p *timescale) deleteFromChunk(
	ctx context.Context, one *chunkTable, machine int32,
) (deleted map[string]int64, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		deleted = make(map[string]int64)
		// What is deleted need not be refreshed. Versions before 2.28 lack the setting.
		if _, err := tx.Exec(ctx, `SELECT set_config(name, 'on', true) FROM pg_settings
			WHERE name = 'timescaledb.skip_cagg_invalidation'`); err != nil {
			return err
		}
		for _, table := range []string{one.compressed, one.name} { // the chunk has rows that are not compressed yet
			if table == "" {
				continue
			}
			var exists bool
			if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&exists); err != nil {
				return err
			}
			if !exists {
				continue
			}
			tag, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE machine = $1`, pgx.QueryExecModeExec, machine)
			if err != nil {
				return err
			}
			if rows := tag.RowsAffected(); rows > 0 {
				deleted[table] = rows
			}
		}
		return nil
	})
	return deleted, err
}

// chunkTable is a chunk of a relation and the table with its compressed rows.
type chunkTable struct{ relation, name, compressed string }

// chunkTables returns the chunks of relations, the oldest of each relation first. If endedBy is not zero, it only
// returns those that ended by then and have rows that are not compressed.
func (p *timescale) chunkTables(ctx context.Context, relations []string, endedBy time.Time) ([]chunkTable, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT r.relation, format('%I.%I', c.chunk_schema, c.chunk_name), coalesce(s.compress_relid::regclass::text, '')
		FROM timescaledb_information.chunks c
		JOIN _timescaledb_catalog.chunk k ON k.schema_name = c.chunk_schema AND k.table_name = c.chunk_name
		LEFT JOIN _timescaledb_catalog.compression_settings s ON s.relid = format('%I.%I', c.chunk_schema, c.chunk_name)::regclass
		LEFT JOIN timescaledb_information.continuous_aggregates a
			ON a.materialization_hypertable_schema = c.hypertable_schema
			AND a.materialization_hypertable_name = c.hypertable_name
		JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY r(relation, view, n)
			ON r.view = coalesce(a.view_name, c.hypertable_name)
		WHERE coalesce(a.view_schema, c.hypertable_schema) = current_schema()
			AND ($3::timestamptz IS NULL OR c.range_end <= $3 AND k.status <> 1 AND k.status & 4 = 0)
		ORDER BY r.n, c.range_start`, relations, aggregatesOf(relations), nullTime(endedBy))
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	chunks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (chunkTable, error) {
		var one chunkTable
		err := row.Scan(&one.relation, &one.name, &one.compressed)
		return one, err
	})
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	return chunks, nil
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

const (
	// rewriteShare is the share of deleted rows from which a table is rewritten. A plain vacuum only returns space at
	// the end of a table.
	rewriteShare = 0.1
	// rewriteBytes is the largest table that is rewritten, because it cannot be read meanwhile.
	rewriteBytes = 256 << 20
)

// vacuum returns the space of deleted rows of a chunk to the file system. deleted is the number of rows by table. The
// rows of a series that are not compressed yet are not rewritten, because no snapshot could be stored meanwhile.
func (p *timescale) vacuum(ctx context.Context, one chunkTable, deleted map[string]int64) error {
	isRollup := slices.Contains(Rollups, one.relation)
	for table, rows := range deleted {
		var rewrite bool
		var err error
		if isRollup || table == one.compressed {
			if rewrite, err = isWorthRewriting(ctx, p.pool, table, rows); err != nil {
				return err
			}
		}
		if rewrite {
			err = rewriteTable(ctx, p.pool, table)
		} else {
			err = vacuumTable(ctx, p.pool, `VACUUM (ANALYZE) `+table)
		}
		if IsLockTimeout(err) {
			p.logger.Info("a chunk with deleted rows is in use, leaving it to autovacuum", "chunk", one.name)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// isWorthRewriting reports whether a part of rewriteShare or more of a table's rows was deleted: now, or earlier, as
// far as the database's statistics know. It is false if the table is larger than rewriteBytes.
func isWorthRewriting(ctx context.Context, pool *pgxpool.Pool, table string, deleted int64) (rewrite bool, err error) {
	err = pool.QueryRow(ctx, `SELECT pg_total_relation_size($1::regclass) <= $2 AND
			(SELECT count(*) FROM `+table+`) * $3::double precision
				<= (1 - $3) * greatest($4, pg_stat_get_dead_tuples($1::regclass))`,
		table, rewriteBytes, rewriteShare, deleted).Scan(&rewrite)
	return rewrite, err
}

const (
	// rewriteAttempts is how often a table is rewritten while queries can still see its deleted rows.
	rewriteAttempts = 5
	// rewriteAgainBytes is the smallest table that is rewritten more than once.
	rewriteAgainBytes = 256 << 10
)

// rewriteTable writes the files of a table again, without deleted rows. PostgreSQL keeps those that a query that is
// running in the database can still see. The table is then hardly smaller, and is written again after a pause, which
// doubles from a second. The database's statistics of deleted rows are too late to be of use here.
func rewriteTable(ctx context.Context, pool *pgxpool.Pool, table string) error {
	size := func() (bytes int64, err error) {
		err = pool.QueryRow(ctx, `SELECT pg_relation_size($1::text::regclass)`, table).Scan(&bytes)
		return bytes, err
	}
	before, err := size()
	if err != nil {
		return err
	}
	for attempt, pause := 1, time.Second; ; attempt, pause = attempt+1, 2*pause {
		if err := vacuumTable(ctx, pool, `VACUUM (FULL, ANALYZE) `+table); err != nil || attempt == rewriteAttempts {
			return err
		}
		after, err := size()
		if err != nil || before < rewriteAgainBytes || float64(after) < float64(before)*(1-rewriteShare/2) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// vacuumTable executes a statement that must not be in a transaction, and waits for locks only briefly.
func vacuumTable(ctx context.Context, pool *pgxpool.Pool, statement string) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get a connection: %w", err)
	}
	defer conn.Release()
	restore, err := shortenLockTimeout(ctx, conn)
	if err != nil {
		return err
	}
	defer restore()
	_, err = conn.Exec(ctx, statement)
	return err
}

const (
	// compressAfter is the age at which a chunk is compressed. Late data of the last hours then goes
	// into uncompressed chunks.
	compressAfter = 12 * time.Hour
	// compressShortLivedAfter is the same for short-lived processes, which take ten times the space until then.
	compressShortLivedAfter = time.Hour
	// compressRollupsAfter is the same for rollups, which change as long as data is late.
	compressRollupsAfter = 72 * time.Hour
)

// Compress implements Backend. It compresses chunks, also those that were compressed before late data arrived. It
// does not wait for readers: TimescaleDB's own job blocks late data, and then new readers, for as long as the longest
// query takes.
func (p *timescale) Compress(ctx context.Context, now time.Time) error {
	others := slices.DeleteFunc(slices.Clone(Series), func(relation string) bool { return relation == ShortLived })
	shortLived, shortLivedErr := p.chunkTables(ctx, []string{ShortLived}, now.Add(-compressShortLivedAfter))
	series, seriesErr := p.chunkTables(ctx, others, now.Add(-compressAfter))
	rollups, rollupsErr := p.chunkTables(ctx, Rollups, now.Add(-compressRollupsAfter))
	failed := []error{shortLivedErr, seriesErr, rollupsErr}
	for _, one := range slices.Concat(shortLived, series, rollups) {
		err := withLockTimeout(ctx, p.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `SELECT compress_chunk($1::text::regclass, if_not_compressed => true)`, one.name)
			return err
		})
		if IsLockTimeout(err) {
			p.deferWork("cannot compress a chunk that is in use", "relation", one.relation, "chunk", one.name)
			continue
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("compress a chunk of %s: %w", one.relation, err))
		}
	}
	return errors.Join(failed...)
}
