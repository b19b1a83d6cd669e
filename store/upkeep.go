package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
	// measureTimeout limits one measurement of the rollups.
	measureTimeout = 30 * time.Second
	// deleteBatch is the maximum number of rows that one statement deletes.
	deleteBatch = 50_000
)

// Maintain refreshes rollups every minute and does a round of maintenance every hour, until ctx is done.
// SetRetention and Delete start an early round. Errors are logged, and retried in the next round.
func (s *Store) Maintain(ctx context.Context) {
	var measuring sync.WaitGroup
	defer measuring.Wait()
	measuring.Go(func() { s.watchRollups(ctx) })
	hourly, minutely := time.NewTicker(maintenanceInterval), time.NewTicker(refreshInterval)
	defer hourly.Stop()
	defer minutely.Stop()
	round, kind := s.MaintainOnce, fullRound
	for {
		s.upkeep.begin(time.Now())
		err := round(ctx)
		s.upkeep.end(kind, err)
		if err != nil && ctx.Err() == nil {
			s.metrics.maintenanceFailures.Inc()
			s.logger.Error("maintenance failed, retrying in the next round", "err", err)
		}
		round, kind = s.MaintainOnce, fullRound
		select {
		case <-ctx.Done():
			return
		case <-hourly.C:
		case <-s.maintenance:
		case <-minutely.C:
			if !s.backend.Deferred() {
				round, kind = s.refresh, refreshOnly
			}
		}
	}
}

// requestMaintenance makes Maintain start a round of maintenance now.
func (s *Store) requestMaintenance() { s.maintenance.Notify() }

// MaintainOnce does one round of maintenance: it creates partitions in advance, applies the retention and the
// disk budget, and deletes the rows of deleted machines. What cannot be done because it is in use is done again a
// minute later.
func (s *Store) MaintainOnce(ctx context.Context) error {
	if err := s.loadSettings(ctx); err != nil {
		return err
	}
	now := s.cfg.Now()
	days, aheadErr := s.backend.CreateAhead(ctx, now)
	if aheadErr == nil {
		s.metrics.partitionsAhead.Set(float64(days) * 86400)
	}
	errs, removed := []error{aheadErr}, 0
	for _, step := range []func() error{
		func() error { return s.backend.ApplyRetention(ctx, s.Retention(), now) },
		// Delete before the refresh, so that rollups are not computed from deleted rows.
		func() (err error) { removed, err = s.removeDeleted(ctx); return err },
		func() error { return s.refresh(ctx) },
		func() error { return s.dropExpired(ctx) },
		func() error {
			if removed > 0 { // after a deletion, the size of the database is not known before the next round
				return nil
			}
			return s.enforceBudget(ctx)
		},
		func() error { return s.backend.Compress(ctx, now) },
		func() error { return s.measure(ctx) },
	} {
		err := step()
		if IsUnavailable(err) && !backend.IsLockTimeout(err) { // so would the other steps
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// watchRollups measures the rollups every minute until ctx is done, beside maintenance that may take long or wait.
func (s *Store) watchRollups(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		if err := s.measureRollups(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("could not measure how far the rollups are behind", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// measureRollups measures how far the rollups are behind and how many could not be computed.
func (s *Store) measureRollups(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	behind, err := s.backend.RefreshLag(ctx, s.cfg.Now())
	if err == nil {
		s.metrics.rollupsBehind.Set(behind.Seconds())
		s.rollupsBehind.Store(int64(behind))
	}
	failed, failedErr := s.backend.FailedRollups(ctx)
	if failedErr == nil {
		s.metrics.rollupsFailed.Set(float64(failed))
		s.rollupsFailed.Store(failed)
	}
	return errors.Join(err, failedErr)
}

// refresh refreshes the rollups and updates the metrics of the refresh.
func (s *Store) refresh(ctx context.Context) error {
	started, now := time.Now(), s.cfg.Now()
	if err := s.loadSettings(ctx); err != nil {
		return err
	}
	closeErr := s.CloseSilent(ctx, now.Add(-backend.RollupDelay).UTC().Truncate(time.Hour))
	if IsUnavailable(closeErr) && !backend.IsLockTimeout(closeErr) {
		return closeErr
	}
	refreshErr := s.backend.RefreshRollups(ctx, now)
	if refreshErr != nil {
		refreshErr = fmt.Errorf("refresh rollups: %w", refreshErr)
	} else {
		s.metrics.refreshSeconds.Observe(time.Since(started).Seconds())
	}
	return errors.Join(closeErr, refreshErr, s.measureRollups(ctx))
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
	var failed []error // a relation that cannot be dropped must not keep the others
	for _, relation := range slices.Concat(backend.Series, backend.Rollups) {
		cutoff := now.Add(-s.backend.KeptFor(keep, relation) - retentionMargin)
		dropped, err := s.backend.DropBefore(ctx, relation, cutoff, now)
		s.metrics.dropped.Add(float64(dropped))
		if IsUnavailable(err) && !backend.IsLockTimeout(err) {
			return err
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("drop expired data: %w", err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	s.EvictRunsBefore(s.Horizon().Add(-retentionMargin))
	// Daily rollups refer to processes for the longest time. Keep processes a day longer, because a run
	// that ends just within retention may refer to them.
	longest := max(keep.For("process_1d"), keep.For("snapshots"))
	lastDay := backend.StartOfDay(now.Add(-longest-retentionMargin)).AddDate(0, 0, -1)
	return errors.Join(s.deleteUnused(ctx, "processes", lastDay), s.deleteUnusedTexts(ctx))
}

// deleteUnused deletes the rows of a table that were last used before a day. The outer condition is needed for rows
// that were locked by a writer: PostgreSQL checks it again after the lock is released, but not the inner one.
func (s *Store) deleteUnused(ctx context.Context, table string, day time.Time) error {
	return s.inBatches(ctx, "delete expired "+table, `DELETE FROM `+table+`
		WHERE last_day < $1 AND id = ANY(ARRAY(SELECT id FROM `+table+` WHERE last_day < $1 LIMIT $2))`, day)
}

// deleteUnusedTexts deletes texts to which no short-lived processes, or none of their sums, refer any more. These are
// at most a day younger than last_day of their texts, because the clock of a machine may be ahead.
func (s *Store) deleteUnusedTexts(ctx context.Context) error {
	// A disk budget may have dropped processes before their retention ended. Only they refer to commands.
	day, err := s.oldestSince(ctx, backend.ShortLived, s.cfg.Now())
	if err != nil {
		return err
	}
	if err := s.deleteUnused(ctx, "commands", day.AddDate(0, 0, -1)); err != nil {
		return err
	}
	// Sums of days are computed later than the rows that they are made of.
	kept := s.backend.KeptFor(s.Retention(), "short_lived_1d") + retentionMargin
	if day, err = s.oldestSince(ctx, "short_lived_1d", s.cfg.Now().Add(-kept)); err != nil {
		return err
	}
	return s.deleteUnused(ctx, "owners", day.AddDate(0, 0, -1))
}

// oldestSince returns the day of the oldest rows of a relation, or that of a time if there are no older ones.
func (s *Store) oldestSince(ctx context.Context, relation string, at time.Time) (day time.Time, err error) {
	oldest, _, err := s.backend.Oldest(ctx, relation)
	if err != nil {
		return day, fmt.Errorf("look for the oldest rows of %s: %w", relation, err)
	}
	if day = backend.StartOfDay(at); !oldest.IsZero() && oldest.Before(day) {
		day = backend.StartOfDay(oldest)
	}
	return day, nil
}

// removeDeleted deletes the rows of deleted machines and returns how many machines there were.
func (s *Store) removeDeleted(ctx context.Context) (removed int, err error) {
	rows, err := s.pools.upkeep.Query(ctx, `SELECT machine FROM machine_deletions ORDER BY deleted_at`)
	if err != nil {
		return 0, fmt.Errorf("list deleted machines: %w", err)
	}
	machines, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return 0, fmt.Errorf("list deleted machines: %w", err)
	}
	for _, machine := range machines {
		done, err := s.backend.DeleteMachine(ctx, machine)
		if err != nil {
			return len(machines), err
		}
		if !done { // again in the next round
			continue
		}
		for _, table := range []string{"processes", "commands", "owners"} {
			if err := s.inBatches(ctx, "delete "+table+" of a deleted machine", `DELETE FROM `+table+`
				WHERE id = ANY(ARRAY(SELECT id FROM `+table+` WHERE machine = $1 LIMIT $2))`, machine); err != nil {
				return len(machines), err
			}
		}
		if _, err := s.pools.upkeep.Exec(ctx, `DELETE FROM machine_deletions WHERE machine = $1`, machine); err != nil {
			return len(machines), fmt.Errorf("record the end of a deletion: %w", err)
		}
	}
	return len(machines), nil
}

// inBatches repeats a statement until it affects no more rows. Its last parameter is the maximum number of
// rows.
func (s *Store) inBatches(ctx context.Context, what, statement string, arg any) error {
	for {
		tag, err := s.pools.upkeep.Exec(ctx, statement, arg, deleteBatch)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if tag.RowsAffected() < deleteBatch {
			return nil
		}
	}
}
