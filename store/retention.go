package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	configured := s.configuredRetention()
	if err := s.ensureRetention(ctx); err != nil {
		return err
	}
	if keep := s.Retention(); s.cfg.Retention > 0 && keep.RawDays != configured.RawDays {
		s.logger.Warn(
			"ignoring --retention: the retention is stored in the database since the first start; change it on the "+
				"storage page or with PATCH /api/v1/storage/retention, and remove the flag",
			"raw_days", keep.RawDays, "flag_days", configured.RawDays,
		)
	}
	if keep := s.Retention(); s.cfg.ExitsDays > 0 && keep.ExitsDays != configured.ExitsDays {
		s.logger.Warn(
			"ignoring --exits-days: the retention is stored in the database since the first start; change it on the "+
				"storage page or with PATCH /api/v1/storage/retention, and remove the flag",
			"exits_days", keep.ExitsDays, "flag_days", configured.ExitsDays,
		)
	}
	return nil
}

// configuredRetention returns the retention of Config.
func (s *Store) configuredRetention() backend.Retention {
	configured := backend.DefaultRetention(s.backend.Name())
	if s.cfg.Retention > 0 {
		configured = configured.WithRaw(s.cfg.Retention)
	}
	if s.cfg.ExitsDays > 0 {
		configured.ExitsDays = s.cfg.ExitsDays
	}
	return configured
}

// ensureRetention loads the retention, and stores that of Config if the database has none: it is new, or its schema was
// removed and created again while this server was running.
func (s *Store) ensureRetention(ctx context.Context) error {
	err := s.loadRetention(ctx)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	configured := s.configuredRetention()
	if err := configured.Check(); err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	// Another server may have stored one in the meantime.
	if err := s.storeRetention(ctx, configured, `DO NOTHING`); err != nil {
		return err
	}
	return s.loadRetention(ctx)
}

// loadRetention reads the setting from the database, because another server may have changed it.
func (s *Store) loadRetention(ctx context.Context) error {
	s.keepMu.Lock() // so that an older value is not stored after a newer one
	defer s.keepMu.Unlock()
	var text []byte
	if err := s.pools.control.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, retentionKey).Scan(&text); err != nil {
		return fmt.Errorf("read the retention: %w", err)
	}
	keep := backend.DefaultRetention(s.backend.Name())
	if err := json.Unmarshal(text, &keep); err != nil {
		return fmt.Errorf("read the retention: %w", err)
	}
	keep.ExitsDays = min(keep.ExitsDays, keep.RawDays) // an earlier version stored none
	s.keep.Store(&keep)
	s.metrics.setRetention(keep)
	return nil
}

// storeRetention writes the setting. onConflict is what to do if the database has one.
func (s *Store) storeRetention(ctx context.Context, keep backend.Retention, onConflict string) error {
	text, err := json.Marshal(keep)
	if err == nil {
		_, err = s.pools.control.Exec(
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
	s.keepMu.Lock()
	defer s.keepMu.Unlock()
	if err := s.storeRetention(ctx, keep, `DO UPDATE SET value = excluded.value`); err != nil {
		return err
	}
	s.keep.Store(&keep)
	s.metrics.setRetention(keep)
	s.requestMaintenance()
	return nil
}

// enforceBudget drops the oldest raw days until the database fits into the disk budget. It never drops the
// last 24 hours. Short-lived processes and the other series can have different ages, so it drops a day of what is
// larger.
func (s *Store) enforceBudget(ctx context.Context) error {
	for {
		keep := s.Retention() // it may change while days are dropped
		if keep.BudgetBytes == 0 {
			return nil
		}
		sizes, err := s.backend.Sizes(ctx)
		if err != nil {
			return err
		}
		total := totalOf(sizes)
		if total <= keep.BudgetBytes {
			return nil
		}
		reclaimable, err := s.backend.Reclaimable(ctx)
		if total -= reclaimable; err != nil || total <= keep.BudgetBytes {
			return err
		}
		now := s.cfg.Now()
		relations, to, err := s.oldestDay(ctx, sizes, now)
		if err != nil {
			return err
		}
		if len(relations) == 0 {
			s.logger.Warn("disk budget exceeded by the last 24 hours", "bytes", total, "budget", keep.BudgetBytes)
			return nil
		}
		s.logger.Info(
			"dropping the oldest day to meet the disk budget", "relations", relations, "until", to, "bytes", total,
			"budget", keep.BudgetBytes,
		)
		dropped := 0
		for _, relation := range relations {
			n, err := s.backend.DropBefore(ctx, relation, to, now)
			dropped += n
			s.metrics.dropped.Add(float64(n))
			if err != nil {
				return fmt.Errorf("drop %s to meet the disk budget: %w", relation, err)
			}
		}
		if slices.Contains(relations, backend.ShortLived) {
			if err := s.deleteUnusedTexts(ctx); err != nil {
				return err
			}
		}
		if dropped == 0 { // in use, or another server is dropping it: retry in the next round
			return nil
		}
	}
}

// oldestDay returns the relations whose oldest day the disk budget drops, and the end of that day: those of short-lived
// processes or of the other series, whichever are larger and have data older than 24 hours. It returns no relations if
// neither have.
func (s *Store) oldestDay(
	ctx context.Context, sizes []backend.RelationSize, now time.Time,
) (relations []string, to time.Time, err error) {
	isShortLived := func(relation string) bool { return relation == backend.ShortLived }
	groups := [][]string{
		slices.DeleteFunc(slices.Clone(backend.Series), isShortLived),
		{backend.ShortLived},
	}
	sizeOf := func(group []string) (bytes int64) {
		for i := range sizes {
			if slices.Contains(group, sizes[i].Relation) {
				bytes += sizes[i].Bytes
			}
		}
		return bytes
	}
	slices.SortStableFunc(groups, func(a, b []string) int { return cmp.Compare(sizeOf(b), sizeOf(a)) })
	for _, group := range groups {
		first := group[0]
		if first == "snapshots" {
			first = "process_samples" // the largest of the group, so its chunks are the shortest
		}
		from, end, err := s.backend.Oldest(ctx, first)
		if err != nil {
			return nil, to, err
		}
		if first == backend.ShortLived && !from.IsZero() { // its chunks can be of an hour
			if day := backend.StartOfDay(from).AddDate(0, 0, 1); day.After(end) {
				end = day
			}
		}
		if !end.IsZero() && !end.After(now.Add(-24*time.Hour)) {
			return group, end, nil
		}
	}
	return nil, to, nil
}

// totalOf returns the size of the database on disk.
func totalOf(sizes []backend.RelationSize) (total int64) {
	for i := range sizes {
		total += sizes[i].Bytes
	}
	return total
}
