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
	// refreshEvery is how often rollups are brought up to date.
	refreshEvery = time.Minute
	// upkeepEvery is how often Maintain does the rest by itself.
	upkeepEvery = time.Hour
	// retentionMargin keeps what reads at the horizon still replay, and the
	// latest that a process's last_day may lag behind its samples.
	retentionMargin = snapshot.MaxRunDuration
	// upkeepBatch bounds the rows that one statement removes.
	upkeepBatch = 50_000
)

// Maintain keeps rollups fresh every minute. Every hour, and when asked, it makes
// room ahead of time, drops what is past retention or over the budget and removes
// the rows of deleted machines. It goes on until ctx ends. A failure is logged and
// tried again in the next round.
func (s *Store) Maintain(ctx context.Context) {
	hourly, minutely := time.NewTicker(upkeepEvery), time.NewTicker(refreshEvery)
	defer hourly.Stop()
	defer minutely.Stop()
	round := s.MaintainOnce
	for {
		if err := round(ctx); err != nil && ctx.Err() == nil {
			s.metrics.upkeepFailures.Inc()
			s.logger.Error("upkeep of the store failed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
			round = s.MaintainOnce
		case <-s.upkeep:
			round = s.MaintainOnce
		case <-minutely.C:
			round = s.refresh
		}
	}
}

// askUpkeep lets Maintain do a round soon.
func (s *Store) askUpkeep() { s.upkeep.Notify() }

// MaintainOnce does one round of upkeep.
func (s *Store) MaintainOnce(ctx context.Context) error {
	if err := s.loadRetention(ctx); err != nil {
		return err
	}
	now := s.cfg.Now()
	days, aheadErr := s.backend.CreateAhead(ctx, now)
	if aheadErr == nil {
		s.metrics.partitionsAhead.Set(float64(days) * 86400)
	}
	// Deletions before the refresh, which would otherwise make rollups of what goes.
	return errors.Join(
		aheadErr, s.backend.ApplyRetention(ctx, s.Retention(), now), s.removeDeleted(ctx), s.refresh(ctx),
		s.dropExpired(ctx), s.enforceBudget(ctx), s.measure(ctx),
	)
}

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

// measure notes what everything takes on disk.
func (s *Store) measure(ctx context.Context) error {
	sizes, err := s.backend.Sizes(ctx)
	if err != nil {
		return err
	}
	oldest, _, err := s.backend.Oldest(ctx, "snapshots")
	if err != nil {
		return err
	}
	s.metrics.takes(sizes, oldest)
	return nil
}

// dropExpired drops what is past retention, and then the processes that nothing
// names any more. Their ids must not survive in the writer's cache.
func (s *Store) dropExpired(ctx context.Context) error {
	keep, now := s.Retention(), s.cfg.Now()
	for _, relation := range slices.Concat(backend.Series, backend.Rollups) {
		cutoff := now.Add(-keep.For(relation) - retentionMargin)
		dropped, err := s.backend.DropBefore(ctx, relation, cutoff)
		s.metrics.dropped.Add(float64(dropped))
		if err != nil {
			return fmt.Errorf("drop what is past retention: %w", err)
		}
	}
	s.EvictRunsBefore(s.Horizon().Add(-retentionMargin))
	// Rollups name processes for longest. A day more than those: a chain that ends
	// just inside may still name them.
	lastDay := backend.StartOfDay(now.Add(-max(keep.For("process_1d"), keep.For("snapshots"))-retentionMargin)).AddDate(0, 0, -1)
	// The outer condition is for a row that a writer held while we waited: it is
	// looked at again, the inner one is not.
	return s.inBatches(
		ctx,
		"remove processes past retention",
		`DELETE FROM processes WHERE last_day < $1 AND id = ANY(ARRAY(SELECT id FROM processes WHERE last_day < $1 LIMIT $2))`,
		lastDay,
	)
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
		for _, relation := range backend.Series {
			if err := s.removeSeries(ctx, relation, machine); err != nil {
				return fmt.Errorf("remove %s of a deleted machine: %w", relation, err)
			}
		}
		if err := s.backend.DeleteRollups(ctx, machine); err != nil {
			return fmt.Errorf("remove rollups of a deleted machine: %w", err)
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
// statement is long. The hour is given as a constant: TimescaleDB then opens only
// the compressed segments of that machine and hour.
func (s *Store) removeSeries(ctx context.Context, relation string, machine int32) error {
	for {
		var first *time.Time
		if err := s.pool.QueryRow(ctx, `SELECT min(ts) FROM `+relation+` WHERE machine = $1`, machine).Scan(&first); err != nil ||
			first == nil {
			return err
		}
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			// An hour of a large machine is more than TimescaleDB opens by default.
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
