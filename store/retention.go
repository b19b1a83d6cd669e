package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Retention says for how long what is kept, in days. A finer level is never kept
// longer than a coarser one, which is made of it.
type Retention struct {
	RawDays        int `json:"raw_days" minimum:"1" maximum:"3650" doc:"Days that snapshots with every process are kept"`
	MinuteDays     int `json:"minute_days" minimum:"1" maximum:"3650" doc:"Days that machine_1m is kept; at least raw_days"`
	HourDays       int `json:"hour_days" minimum:"1" maximum:"3650" doc:"Days that machine_1h and process_1h are kept; at least minute_days"`
	ThreeHoursDays int `json:"three_hours_days" minimum:"1" maximum:"3650" doc:"Days that machine_3h and process_3h are kept; at least hour_days"`
	DayDays        int `json:"day_days" minimum:"1" maximum:"3650" doc:"Days that machine_1d and process_1d are kept; at least three_hours_days"`
	// BudgetBytes bounds the whole: the oldest raw days go, however young, until it
	// is met. 0 means no bound.
	BudgetBytes int64 `json:"budget_bytes" minimum:"0" doc:"Bytes that everything together may take: beyond that the oldest raw days go, all but the last. 0: no bound"`
}

// RetentionError names the field that breaks the order of levels.
type RetentionError struct{ Field, Problem string }

func (e *RetentionError) Error() string { return e.Field + " " + e.Problem }

// Check reports what is wrong with r.
func (r Retention) Check() error {
	levels := []struct {
		field string
		days  int
	}{{"raw_days", r.RawDays}, {"minute_days", r.MinuteDays}, {"hour_days", r.HourDays}, {"three_hours_days", r.ThreeHoursDays}, {"day_days", r.DayDays}}
	for i, level := range levels {
		if level.days < 1 || level.days > 3650 {
			return &RetentionError{level.field, "must be 1 to 3650"}
		}
		if i > 0 && level.days < levels[i-1].days {
			return &RetentionError{
				level.field,
				fmt.Sprintf("must be at least %s, which is %d", levels[i-1].field, levels[i-1].days),
			}
		}
	}
	if r.BudgetBytes < 0 {
		return &RetentionError{"budget_bytes", "must not be negative"}
	}
	return nil
}

// of returns how long a relation is kept.
func (r Retention) of(relation string) time.Duration {
	days := r.RawDays
	switch relation {
	case "machine_1m":
		days = r.MinuteDays
	case "machine_1h", "process_1h":
		days = r.HourDays
	case "machine_3h", "process_3h":
		days = r.ThreeHoursDays
	case "machine_1d", "process_1d":
		days = r.DayDays
	}
	return time.Duration(days) * 24 * time.Hour
}

// DefaultRetention is what a profile keeps if nobody says otherwise. It follows
// from what a day of one machine costs (docs/storage.md): about 9 MB compressed
// in TimescaleDB, about 100 MB in plain PostgreSQL, for 300 processes every 5 s.
func DefaultRetention(profile string) Retention {
	if profile == ProfileTimescale {
		return Retention{RawDays: 365, MinuteDays: 365, HourDays: 730, ThreeHoursDays: 1095, DayDays: 1825}
	}
	return Retention{RawDays: 30, MinuteDays: 90, HourDays: 365, ThreeHoursDays: 730, DayDays: 730}
}

// withRaw returns r with another raw retention, and coarser levels that are long enough.
func (r Retention) withRaw(raw time.Duration) Retention {
	r.RawDays = max(1, int((raw+24*time.Hour-1)/(24*time.Hour)))
	r.MinuteDays = max(r.MinuteDays, r.RawDays)
	r.HourDays = max(r.HourDays, r.MinuteDays)
	r.ThreeHoursDays = max(r.ThreeHoursDays, r.HourDays)
	r.DayDays = max(r.DayDays, r.ThreeHoursDays)
	return r
}

const retentionKey = "retention"

// Retention returns what is kept: as set through SetRetention, or else as
// configured, or else the profile's default.
func (s *Store) Retention() Retention { return *s.keep.Load() }

// Horizon returns the oldest instant of which snapshots are kept.
func (s *Store) Horizon() snapshot.Time {
	return snapshot.TimeOf(s.cfg.Now().Add(-s.Retention().of("snapshots")))
}

// loadRetention reads the setting, which another server may have changed.
func (s *Store) loadRetention(ctx context.Context) error {
	keep := DefaultRetention(s.profile.name())
	if s.cfg.Retention > 0 {
		keep = keep.withRaw(s.cfg.Retention)
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
	s.metrics.keeps(keep)
	return nil
}

// SetRetention changes what is kept, for all servers of the database, and lets
// Maintain act on it. It returns a *RetentionError if the levels are out of order.
func (s *Store) SetRetention(ctx context.Context, keep Retention) error {
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
	s.metrics.keeps(keep)
	s.askUpkeep()
	return nil
}

// enforceBudget drops the oldest raw days until everything fits, but never the
// one of yesterday and now.
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
		_, to, err := s.profile.oldest(ctx, "process_samples")
		if err != nil {
			return err
		}
		now := s.cfg.Now()
		if to.IsZero() || to.After(now.Add(-24*time.Hour)) {
			s.logger.Warn("the disk budget is passed by what must be kept", "bytes", total, "budget", keep.BudgetBytes)
			return nil
		}
		// The database must not make rollups of the days that go from now on.
		shorter := keep
		shorter.RawDays = max(1, int(now.Sub(to)/(24*time.Hour)))
		if err := s.profile.configure(ctx, shorter, now); err != nil {
			return err
		}
		s.logger.Info(
			"dropping the oldest day to meet the disk budget", "until", to, "bytes", total,
			"budget", keep.BudgetBytes,
		)
		dropped := 0
		for _, relation := range series {
			n, err := s.profile.dropBefore(ctx, relation, to)
			dropped += n
			s.metrics.dropped.Add(float64(n))
			if err != nil {
				return fmt.Errorf("drop %s to meet the disk budget: %w", relation, err)
			}
		}
		if dropped == 0 { // it is being read, or another server is at it: the next round goes on
			return nil
		}
	}
}

func (s *Store) totalBytes(ctx context.Context) (int64, error) {
	sizes, err := s.relationSizes(ctx)
	var total int64
	for i := range sizes {
		total += sizes[i].Bytes
	}
	return total, err
}
