package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/store/backend"
)

const retentionKey = "retention"

// Retention returns the retention in effect: the one of SetRetention, or else of Config, or else the
// profile's default.
func (s *Store) Retention() backend.Retention { return *s.keep.Load() }

// loadRetention reads the setting from the database, because another server may have changed it.
func (s *Store) loadRetention(ctx context.Context) error {
	keep := backend.DefaultRetention(s.backend.Name())
	if s.cfg.Retention > 0 {
		keep = keep.WithRaw(s.cfg.Retention)
	}
	var text []byte
	err := s.pool.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, retentionKey).Scan(&text)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the retention: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(text, &keep); err != nil {
			return fmt.Errorf("read the retention: %w", err)
		}
	}
	s.keep.Store(&keep)
	s.metrics.setRetention(keep)
	return nil
}

// SetRetention changes the retention for all servers of the database and starts a round of maintenance. It
// returns a *backend.RetentionError if keep is invalid.
func (s *Store) SetRetention(ctx context.Context, keep backend.Retention) error {
	if err := keep.Check(); err != nil {
		return err
	}
	text, err := json.Marshal(keep)
	if err != nil {
		return fmt.Errorf("write the retention: %w", err)
	}
	if _, err := s.pool.Exec(ctx, `INSERT INTO settings (key, value) VALUES ($1, $2)
		ON CONFLICT (key) DO UPDATE SET value = $2`, retentionKey, string(text)); err != nil {
		return fmt.Errorf("write the retention: %w", err)
	}
	s.keep.Store(&keep)
	s.metrics.setRetention(keep)
	s.requestMaintenance()
	return nil
}

// enforceBudget drops the oldest raw days until the database fits into the disk budget. It never drops the
// last 24 hours.
func (s *Store) enforceBudget(ctx context.Context) error {
	keep := s.Retention()
	if keep.BudgetBytes == 0 {
		return nil
	}
	for {
		total, err := s.totalBytes(ctx)
		if err != nil || total <= keep.BudgetBytes {
			return err
		}
		reclaimable, err := s.backend.Reclaimable(ctx)
		if total -= reclaimable; err != nil || total <= keep.BudgetBytes {
			return err
		}
		_, to, err := s.backend.Oldest(ctx, "process_samples")
		if err != nil {
			return err
		}
		now := s.cfg.Now()
		if to.IsZero() || to.After(now.Add(-24*time.Hour)) {
			s.logger.Warn("disk budget exceeded by the last 24 hours", "bytes", total, "budget", keep.BudgetBytes)
			return nil
		}
		s.logger.Info(
			"dropping the oldest day to meet the disk budget", "until", to, "bytes", total,
			"budget", keep.BudgetBytes,
		)
		dropped := 0
		for _, relation := range backend.Series {
			n, err := s.backend.DropBefore(ctx, relation, to, now)
			dropped += n
			s.metrics.dropped.Add(float64(n))
			if err != nil {
				return fmt.Errorf("drop %s to meet the disk budget: %w", relation, err)
			}
		}
		if dropped == 0 { // in use, or another server is dropping it: retry in the next round
			return nil
		}
	}
}

// totalBytes returns the size of the database on disk.
func (s *Store) totalBytes(ctx context.Context) (int64, error) {
	sizes, err := s.backend.Sizes(ctx)
	var total int64
	for i := range sizes {
		total += sizes[i].Bytes
	}
	return total, err
}
