package backend

import (
	"fmt"
	"time"
)

// Retention is how long each kind of data is kept, in days. A finer level must not be kept longer than
// the coarser one that is computed from it.
type Retention struct {
	RawDays        int `json:"raw_days" minimum:"1" maximum:"3650" doc:"Days to keep snapshots and process samples"`
	MinuteDays     int `json:"minute_days" minimum:"1" maximum:"3650" doc:"Days to keep machine_1m; at least raw_days"`
	HourDays       int `json:"hour_days" minimum:"1" maximum:"3650" doc:"Days to keep machine_1h and process_1h; at least minute_days"`
	ThreeHoursDays int `json:"three_hours_days" minimum:"1" maximum:"3650" doc:"Days to keep machine_3h and process_3h; at least hour_days"`
	DayDays        int `json:"day_days" minimum:"1" maximum:"3650" doc:"Days to keep machine_1d and process_1d; at least three_hours_days"`
	// ExitsDays is how long processes that were in no process list are kept.
	ExitsDays int `json:"exits_days" minimum:"1" maximum:"3650" doc:"Days to keep processes that started and ended between two snapshots; at most raw_days. Their sums by name and service are kept as long as the rollups"`
	// BudgetBytes is the disk budget. While the database is larger, the oldest raw days are dropped,
	// regardless of RawDays. 0 means no budget.
	BudgetBytes int64 `json:"budget_bytes" minimum:"0" doc:"Disk budget in bytes. While the database is larger, the oldest raw days are dropped, except for the last. 0 means no budget"`
}

// RetentionError is the error of a field of a Retention that is out of range or shorter than a finer level.
type RetentionError struct{ Field, Problem string }

// Error implements error.
func (e *RetentionError) Error() string { return e.Field + " " + e.Problem }

// Check returns a *RetentionError if r is invalid.
func (r Retention) Check() error {
	levels := []struct {
		field string
		days  int
	}{
		{"raw_days", r.RawDays}, {"minute_days", r.MinuteDays}, {"hour_days", r.HourDays},
		{"three_hours_days", r.ThreeHoursDays}, {"day_days", r.DayDays},
	}
	for i, level := range levels {
		if level.days < 1 || level.days > 3650 {
			return &RetentionError{level.field, "must be 1 to 3650"}
		}
		if i > 0 && level.days < levels[i-1].days {
			problem := fmt.Sprintf("must be at least %s, which is %d", levels[i-1].field, levels[i-1].days)
			return &RetentionError{level.field, problem}
		}
	}
	switch {
	case r.ExitsDays < 1 || r.ExitsDays > 3650:
		return &RetentionError{"exits_days", "must be 1 to 3650"}
	case r.ExitsDays > r.RawDays:
		return &RetentionError{"exits_days", fmt.Sprintf("must be at most raw_days, which is %d", r.RawDays)}
	}
	if r.BudgetBytes < 0 {
		return &RetentionError{"budget_bytes", "must not be negative"}
	}
	return nil
}

// For returns how long a relation is kept.
func (r Retention) For(relation string) time.Duration {
	days := r.RawDays
	switch relation {
	case "machine_1m":
		days = r.MinuteDays
	case "machine_1h", "process_1h":
		days = r.HourDays
	case "machine_3h", "process_3h", "short_lived_1h": // there is no short_lived_3h
		days = r.ThreeHoursDays
	case "machine_1d", "process_1d", "short_lived_1d":
		days = r.DayDays
	case ShortLived:
		days = r.ExitsDays
	}
	return time.Duration(days) * 24 * time.Hour
}

// DefaultRetention returns the default of a profile. It follows from the size of a day of one machine
// with 300 processes every 5 s (docs/storage.md): about 9 MB compressed in TimescaleDB, about 100 MB in
// plain PostgreSQL.
func DefaultRetention(profile string) Retention {
	if profile == Timescale {
		return Retention{
			RawDays: 365, MinuteDays: 365, HourDays: 730, ThreeHoursDays: 1095, DayDays: 1825, ExitsDays: 30,
		}
	}
	return Retention{RawDays: 30, MinuteDays: 90, HourDays: 365, ThreeHoursDays: 730, DayDays: 730, ExitsDays: 7}
}

// WithRaw returns r with another raw retention. It extends coarser levels that would be shorter, and shortens
// ExitsDays if it would be longer.
func (r Retention) WithRaw(raw time.Duration) Retention {
	r.RawDays = max(1, int((raw+24*time.Hour-1)/(24*time.Hour)))
	r.MinuteDays = max(r.MinuteDays, r.RawDays)
	r.HourDays = max(r.HourDays, r.MinuteDays)
	r.ThreeHoursDays = max(r.ThreeHoursDays, r.HourDays)
	r.DayDays = max(r.DayDays, r.ThreeHoursDays)
	r.ExitsDays = min(r.ExitsDays, r.RawDays)
	return r
}
