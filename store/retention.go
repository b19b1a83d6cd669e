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

// Retention returns the retention in effect, which is stored in the database.
func (s *Store) Retention() backend.Retention { return *s.keep.Load() }

// openRetention loads the retention, and stores the one of Config if the database has none. So all servers of a
// database have the same retention. It logs a warning if Config has another one.
func (s *Store) openRetention(ctx context.Context) error {
	configured := backend.DefaultRetention(s.backend.Name())
	if s.cfg.Retention > 0 {
		configured = configured.WithRaw(s.cfg.Retention)
	}
	err := s.loadRetention(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := configured.Check(); err != nil {
			return fmt.Errorf("retention: %w", err)
		}
		err = s.storeRetention(ctx, configured, `DO NOTHING`) // another server may have stored one in the meantime
		if err == nil {
			err = s.loadRetention(ctx)
		}
	}
	if err != nil {
		return err
	}
	if keep := s.Retention(); s.cfg.Retention > 0 && keep.RawDays != configured.RawDays {
		s.logger.Warn(
			"ignoring --retention: the retention is stored in the database since the first start; change it on the "+
				"storage page or with PATCH /api/v1/storage/retention, and remove the flag",
			"raw_days", keep.RawDays, "flag_days", configured.RawDays,
		)
	}
	return nil
}

// loadRetention reads the setting from the database, because another server may have changed it.
func (s *Store) loadRetention(ctx context.Context) error {
	var text []byte
	if err := s.pool.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, retentionKey).Scan(&text); err != nil {
		return fmt.Errorf("read the retention: %w", err)
	}
	keep := backend.DefaultRetention(s.backend.Name())
	if err := json.Unmarshal(text, &keep); err != nil {
		return fmt.Errorf("read the retention: %w", err)
	}
	s.keep.Store(&keep)
	s.metrics.setRetention(keep)
	return nil
}

// storeRetention writes the setting. onConflict is what to do if the database has one.
func (s *Store) storeRetention(ctx context.Context, keep backend.Retention, onConflict string) error {
	text, err := json.Marshal(keep)
	if err == nil {
		_, err = s.pool.Exec(
			ctx, `INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) `+onConflict, retentionKey, string(text),
		)
	}
	if err != nil {
		return fmt.Errorf("write the retention: %w", err)
	}
	return nil
}

// SetRetention changes the retention for all servers of the database and starts a round of maintenance. It
// returns a *backend.RetentionError if keep is invalid.
func (s *Store) SetRetention(ctx context.Context, keep backend.Retention) error {
	if err := keep.Check(); err != nil {
		return err
	}
	if err := s.storeRetention(ctx, keep, `DO UPDATE SET value = excluded.value`); err != nil {
		return err
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
