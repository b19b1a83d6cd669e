package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/internal/pgsession"
)

// maxRollupsBehind is how far rollups may be behind before CheckRollups returns an error.
const maxRollupsBehind = 3 * time.Hour

// tableTimeout is how long CheckWrite waits for the tables. It is shorter than a health check, so that the reason names
// the table.
const tableTimeout = 2 * time.Second

// CheckWrite returns an error if the database cannot commit a change, if it does not have the schema of this program,
// or if a table that posts or sign-ins need does not answer.
func (s *Store) CheckWrite(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return pgsession.Cause(err)
	}
	if _, err := s.pools.upkeep.Exec(ctx, `INSERT INTO settings (key, value) VALUES ('last_write_check', $1)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, s.cfg.Now().UTC().Format(time.RFC3339)); err != nil {
		return fmt.Errorf("commit a change: %w", pgsession.Cause(err))
	}
	return s.checkTables(ctx)
}

// checkTables returns an error if a table that each post or each request needs is locked or does not answer. It uses
// the pool of the accounts for theirs, so it also fails if all connections of that pool wait.
func (s *Store) checkTables(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	accounts := make(chan error, 1)
	go func() { accounts <- checkReadable(ctx, s.pools.control, "users", "tokens", "sessions") }()
	series := checkWritable(ctx, s.pools.upkeep, "machines", "snapshots", "process_samples")
	return errors.Join(<-accounts, series)
}

// checkWritable returns an error that names the first of some tables that cannot be written. A table can be locked
// against writers only.
func checkWritable(ctx context.Context, pool *pgxpool.Pool, tables ...string) error {
	for _, table := range tables {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			// ONLY leaves out partitions and chunks, which would all be locked.
			_, err := tx.Exec(ctx, `LOCK TABLE ONLY `+pgx.Identifier{table}.Sanitize()+` IN ROW EXCLUSIVE MODE`)
			return err
		})
		if err := tableError(ctx, table, err); err != nil {
			return err
		}
	}
	return nil
}

// checkReadable returns an error that names the first of some tables that cannot be read.
func checkReadable(ctx context.Context, pool *pgxpool.Pool, tables ...string) error {
	for _, table := range tables {
		// ONLY leaves out partitions and chunks, which would all be locked and planned.
		_, err := pool.Exec(ctx, `SELECT FROM ONLY `+pgx.Identifier{table}.Sanitize()+` LIMIT 1`)
		if err := tableError(ctx, table, err); err != nil {
			return err
		}
	}
	return nil
}

// tableError returns the error of a statement about a table, with the table's name.
func tableError(ctx context.Context, table string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || IsStatementTimeout(err):
		return fmt.Errorf("the table %s is locked or does not answer: %w", table, err)
	default:
		return fmt.Errorf("use the table %s: %w", table, pgsession.Cause(err))
	}
}

// CheckRollups returns an error if rollups are far behind or could not be computed at the last refresh.
func (s *Store) CheckRollups(context.Context) error {
	if failed := s.rollupsFailed.Load(); failed > 0 {
		return fmt.Errorf("%d buckets of rollups could not be computed and are tried again; see the log", failed)
	}
	if behind := time.Duration(s.rollupsBehind.Load()); IsRollupLagLong(behind) {
		return fmt.Errorf("the rollups are %s behind; see the log", behind.Round(time.Minute))
	}
	return nil
}

// ReadConns returns the number of connections for reads.
func (s *Store) ReadConns() int { return int(s.pools.reads.Config().MaxConns) }
