package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// upkeepEvery is how often Maintain looks for work by itself.
	upkeepEvery = time.Hour
	// retentionMargin keeps what reads at the horizon still replay, and the
	// latest that a process's last_day may lag behind its samples.
	retentionMargin = snapshot.MaxChain
	// upkeepBatch bounds the rows that one statement removes.
	upkeepBatch = 50_000
)

// Maintain makes partitions ahead of time, drops those past retention and
// removes the rows of deleted machines: now, every hour, and after a deletion,
// until ctx ends. A failure is logged and tried again in the next round.
func (s *Store) Maintain(ctx context.Context) {
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	for {
		if err := s.MaintainOnce(ctx); err != nil && ctx.Err() == nil {
			s.metrics.upkeepFailures.Inc()
			s.logger.Error("upkeep of the store failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.upkeep:
		}
	}
}

// MaintainOnce does one round of upkeep.
func (s *Store) MaintainOnce(ctx context.Context) error {
	days, aheadErr := s.profile.ahead(ctx, s.cfg.Now())
	if aheadErr == nil {
		s.metrics.partitionsAhead.Set(float64(days))
	}
	return errors.Join(aheadErr, s.dropExpired(ctx), s.removeDeleted(ctx))
}

// dropExpired drops the days past retention, and then the processes that have no
// sample left. Their ids must not survive in the writer's cache.
func (s *Store) dropExpired(ctx context.Context) error {
	cutoff := s.Horizon().Add(-retentionMargin)
	if _, err := s.profile.dropBefore(ctx, cutoff.Std()); err != nil {
		return fmt.Errorf("drop what is past retention: %w", err)
	}
	s.writing.Lock()
	s.chains.dropBefore(cutoff)
	s.writing.Unlock()
	// A day more than the samples: a chain that ends just inside may still name them.
	lastDay := midnight(cutoff.Std()).AddDate(0, 0, -1)
	// The outer condition is for a row that a writer held while we waited: it is
	// looked at again, the inner one is not.
	return s.inBatches(ctx, "remove processes past retention",
		`DELETE FROM processes WHERE last_day < $1 AND id = ANY(ARRAY(SELECT id FROM processes WHERE last_day < $1 LIMIT $2))`, lastDay)
}

// removeDeleted removes the rows of deleted machines, table by table.
func (s *Store) removeDeleted(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `SELECT machine FROM machine_deletions ORDER BY deleted_at`)
	if err != nil {
		return fmt.Errorf("list deleted machines: %w", err)
	}
	machines, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("list deleted machines: %w", err)
	}
	for _, machine := range machines {
		for _, relation := range series {
			if err := s.removeSeries(ctx, relation, machine); err != nil {
				return fmt.Errorf("remove %s of a deleted machine: %w", relation, err)
			}
		}
		if err := s.inBatches(ctx, "remove processes of a deleted machine",
			`DELETE FROM processes WHERE id = ANY(ARRAY(SELECT id FROM processes WHERE machine = $1 LIMIT $2))`, machine); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `DELETE FROM machine_deletions WHERE machine = $1`, machine); err != nil {
			return fmt.Errorf("note a deletion as done: %w", err)
		}
	}
	return nil
}

// removeSeries removes a machine's rows hour by hour of its history, so that no
// statement is long.
func (s *Store) removeSeries(ctx context.Context, relation string, machine int32) error {
	for {
		tag, err := s.pool.Exec(ctx, fmt.Sprintf(`
			WITH first AS (SELECT min(ts) AS ts FROM %[1]s WHERE machine = $1)
			DELETE FROM %[1]s USING first WHERE machine = $1 AND %[1]s.ts >= first.ts AND %[1]s.ts < first.ts + interval '1 hour'`, relation), machine)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
	}
}

// inBatches repeats a statement, whose last parameter is a number of rows, until
// it finds nothing more.
func (s *Store) inBatches(ctx context.Context, what, statement string, arg any) error {
	for {
		tag, err := s.pool.Exec(ctx, statement, arg, upkeepBatch)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if tag.RowsAffected() < upkeepBatch {
			return nil
		}
	}
}
