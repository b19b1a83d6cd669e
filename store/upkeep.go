package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

const (
	// refreshInterval is the time between refreshes of the rollups.
	refreshInterval = time.Minute
	// maintenanceInterval is the time between rounds of maintenance.
	maintenanceInterval = time.Hour
	// retentionMargin is how much longer rows are kept: reads at the horizon replay the run of changes
	// that contains it.
	retentionMargin = snapshot.MaxRunDuration
	// deleteBatch is the maximum number of rows that one statement deletes.
	deleteBatch = 50_000
)

// Maintain refreshes rollups every minute and does a round of maintenance every hour, until ctx is done.
// SetRetention and Delete start an early round. Errors are logged, and retried in the next round.
func (s *Store) Maintain(ctx context.Context) {
	hourly, minutely := time.NewTicker(maintenanceInterval), time.NewTicker(refreshInterval)
	defer hourly.Stop()
	defer minutely.Stop()
	round := s.MaintainOnce
	for {
		if err := round(ctx); err != nil && ctx.Err() == nil {
			s.metrics.maintenanceFailures.Inc()
			s.logger.Error("maintenance failed, retrying in the next round", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
			round = s.MaintainOnce
		case <-s.maintenance:
			round = s.MaintainOnce
		case <-minutely.C:
			round = s.refresh
		}
	}
}

// requestMaintenance makes Maintain start a round of maintenance now.
func (s *Store) requestMaintenance() { s.maintenance.Notify() }

// MaintainOnce does one round of maintenance: it creates partitions in advance, applies the retention and the
// disk budget, and deletes the rows of deleted machines.
func (s *Store) MaintainOnce(ctx context.Context) error {
	if err := s.loadRetention(ctx); err != nil {
		return err
	}
	now := s.cfg.Now()
	days, aheadErr := s.backend.CreateAhead(ctx, now)
	if aheadErr == nil {
		s.metrics.partitionsAhead.Set(float64(days) * 86400)
	}
	// Delete before the refresh, so that rollups are not computed from deleted rows.
	return errors.Join(
		aheadErr, s.backend.ApplyRetention(ctx, s.Retention(), now), s.removeDeleted(ctx), s.refresh(ctx),
		s.dropExpired(ctx), s.enforceBudget(ctx), s.measure(ctx),
	)
}

// refresh refreshes the rollups and updates the metrics of the refresh.
func (s *Store) refresh(ctx context.Context) error {
	started, now := time.Now(), s.cfg.Now()
	refreshErr := s.backend.RefreshRollups(ctx, now)
	if refreshErr != nil {
		refreshErr = fmt.Errorf("refresh rollups: %w", refreshErr)
	} else {
		s.metrics.refreshSeconds.Observe(time.Since(started).Seconds())
	}
	behind, err := s.backend.RefreshLag(ctx, now)
	if err == nil {
		s.metrics.rollupsBehind.Set(behind.Seconds())
	}
	return errors.Join(refreshErr, err)
}

// measure updates the metrics of disk usage.
func (s *Store) measure(ctx context.Context) error {
	sizes, err := s.backend.Sizes(ctx)
	if err != nil {
		return err
	}
	oldest, _, err := s.backend.Oldest(ctx, "snapshots")
	if err != nil {
		return err
	}
	s.metrics.setSizes(sizes, oldest)
	return nil
}

// dropExpired drops expired partitions, and then deletes processes that are no longer referenced. It also
// evicts these processes from the writer's cache.
func (s *Store) dropExpired(ctx context.Context) error {
	keep, now := s.Retention(), s.cfg.Now()
	for _, relation := range slices.Concat(backend.Series, backend.Rollups) {
		cutoff := now.Add(-keep.For(relation) - retentionMargin)
		dropped, err := s.backend.DropBefore(ctx, relation, cutoff)
		s.metrics.dropped.Add(float64(dropped))
		if err != nil {
			return fmt.Errorf("drop expired data: %w", err)
		}
	}
	s.EvictRunsBefore(s.Horizon().Add(-retentionMargin))
	// Daily rollups refer to processes for the longest time. Keep processes a day longer, because a run
	// that ends just within retention may refer to them.
	longest := max(keep.For("process_1d"), keep.For("snapshots"))
	lastDay := backend.StartOfDay(now.Add(-longest-retentionMargin)).AddDate(0, 0, -1)
	// The outer condition is needed for rows that were locked by a writer: PostgreSQL checks it again
	// after the lock is released, but not the inner one.
	return s.inBatches(
		ctx,
		"delete expired processes",
		`DELETE FROM processes WHERE last_day < $1 AND id = ANY(ARRAY(SELECT id FROM processes WHERE last_day < $1 LIMIT $2))`,
		lastDay,
	)
}

// removeDeleted deletes the rows of deleted machines, table by table.
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
		for _, relation := range backend.Series {
			if err := s.removeSeries(ctx, relation, machine); err != nil {
				return fmt.Errorf("delete %s of a deleted machine: %w", relation, err)
			}
		}
		if err := s.backend.DeleteRollups(ctx, machine); err != nil {
			return fmt.Errorf("delete rollups of a deleted machine: %w", err)
		}
		if err := s.inBatches(ctx, "delete processes of a deleted machine",
			`DELETE FROM processes WHERE id = ANY(ARRAY(SELECT id FROM processes WHERE machine = $1 LIMIT $2))`, machine); err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `DELETE FROM machine_deletions WHERE machine = $1`, machine); err != nil {
			return fmt.Errorf("record the end of a deletion: %w", err)
		}
	}
	return nil
}

// removeSeries deletes a machine's rows of a relation, an hour per statement, so that each statement is
// short. The statement is planned with the hour as a constant. TimescaleDB then only decompresses the
// segments of that machine and hour.
func (s *Store) removeSeries(ctx context.Context, relation string, machine int32) error {
	for {
		var first *time.Time
		if err := s.pool.QueryRow(ctx, `SELECT min(ts) FROM `+relation+` WHERE machine = $1`, machine).Scan(&first); err != nil ||
			first == nil {
			return err
		}
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			// An hour of a large machine exceeds TimescaleDB's default limit.
			if _, err := tx.Exec(ctx, `SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)`); err != nil {
				return err
			}
			_, err := tx.Exec(
				ctx,
				`DELETE FROM `+relation+` WHERE machine = $1 AND ts >= $2 AND ts < $3`,
				pgx.QueryExecModeExec,
				machine,
				*first,
				first.Add(time.Hour),
			)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// inBatches repeats a statement until it affects no more rows. Its last parameter is the maximum number of
// rows.
func (s *Store) inBatches(ctx context.Context, what, statement string, arg any) error {
	for {
		tag, err := s.pool.Exec(ctx, statement, arg, deleteBatch)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if tag.RowsAffected() < deleteBatch {
			return nil
		}
	}
}
