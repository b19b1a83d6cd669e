// Package backend implements the two storage profiles: native partitions of plain PostgreSQL, and
// TimescaleDB's hypertables. A backend creates partitions, maintains rollups and removes expired
// data. Tables and columns that queries read are the same in both.
package backend

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/store/schema"
)

// The storage profiles.
const (
	Postgres  = "postgres"
	Timescale = "timescale"
)

// The relations of short-lived processes that grow with every snapshot. They are views of tables with other names.
const (
	ShortLived        = "short_lived"    // one row per process
	ShortLivedMinutes = "short_lived_1m" // sums, which the writer adds up
)

// Series lists the relations that grow with every snapshot.
var Series = []string{
	"snapshots", "process_samples", "disk_samples", "net_samples", ShortLived, ShortLivedMinutes,
}

// Rollups lists the aggregates of the series. Each comes after those it is computed from.
var Rollups = []string{
	"machine_1m", "machine_1h", "process_1h", "machine_3h", "process_3h", "machine_1d", "process_1d",
	"short_lived_1h", "short_lived_1d",
}

// Backend is a storage profile.
type Backend interface {
	// Name returns the profile's name, which is also the name of its folder in migrations.
	Name() string
	// EnsurePartitions creates the missing partitions of the given days (midnight, UTC) of series.
	EnsurePartitions(ctx context.Context, series []string, days []time.Time) error
	// InvalidatePartitions clears the cache of existing partitions.
	InvalidatePartitions()
	// CreateAhead prepares storage for the coming days and returns how many days are prepared.
	CreateAhead(ctx context.Context, now time.Time) (days int, err error)
	// ShortLivedTable returns the table of short-lived processes.
	ShortLivedTable() *schema.ShortLivedTable
	// MarkDirty records, in the writer's transaction, the hours whose rollups are out of date:
	// hours[i] of machines[i]. Each pair occurs once.
	MarkDirty(ctx context.Context, tx pgx.Tx, machines []int32, hours []time.Time) error
	// RefreshRollups updates the rollups that the database does not update by itself.
	RefreshRollups(ctx context.Context, now time.Time) error
	// FailedRollups returns how many buckets of rollups could not be computed. They are tried again later, and the raw
	// data that they need is kept. With TimescaleDB, it is the number of rollups whose last refresh failed.
	FailedRollups(ctx context.Context) (int64, error)
	// RolledUpUntil returns the first hour for which reading process_1h costs as much as reading the
	// samples, because it is not materialized yet. Machine 0 means all machines.
	RolledUpUntil(ctx context.Context, machine int32, now time.Time) (time.Time, error)
	// RefreshLag returns the time since the end of the oldest hour whose rollups are overdue, or 0.
	RefreshLag(ctx context.Context, now time.Time) (time.Duration, error)
	// ApplyRetention configures the database's own jobs, if it has any.
	ApplyRetention(ctx context.Context, keep Retention, now time.Time) error
	// KeptFor returns how long a relation is kept under a retention.
	KeptFor(keep Retention, relation string) time.Duration
	// DropBefore drops the partitions or chunks of a relation that end at or before cutoff, except those
	// that are in use or whose rollups are not up to date.
	DropBefore(ctx context.Context, relation string, cutoff, now time.Time) (dropped int, err error)
	// CompleteFrom returns the time from which all data is stored. Raw data before it was dropped, and its
	// rollups do not change any more. It is zero if nothing was dropped.
	CompleteFrom() time.Time
	// DroppedBefore returns the time before which data of a relation was dropped, or zero if none was. Extending the
	// retention does not bring it back.
	DroppedBefore(relation string) time.Time
	// LockAcceptFrom returns the time from which new data reaches all rollups, and keeps it unchanged until the end
	// of the transaction. It is CompleteFrom or a bucket later. Writers of data that may be dropped call it, and do
	// not write anything before that time.
	LockAcceptFrom(ctx context.Context, tx pgx.Tx) (time.Time, error)
	// LoadFloors reads what CompleteFrom returns. Another server may have dropped data.
	LoadFloors(ctx context.Context) error
	// Compress compresses data that is old enough, if the profile compresses.
	Compress(ctx context.Context, now time.Time) error
	// Deferred reports whether work was put off since the last call, because something was in use.
	Deferred() bool
	// Oldest returns the bounds of the oldest partition or chunk of a relation, or zero times.
	Oldest(ctx context.Context, relation string) (from, to time.Time, err error)
	// Sizes returns the size on disk of each relation, the largest first.
	Sizes(ctx context.Context) ([]RelationSize, error)
	// Reclaimable returns the size of deleted rows that still occupy disk space until the next vacuum.
	Reclaimable(ctx context.Context) (int64, error)
	// DeleteMachine deletes a machine's rows of the series and its rollups. It returns false if it must be called
	// again later, because a refresh is running that may add rollups of the machine.
	DeleteMachine(ctx context.Context, machine int32) (done bool, err error)
}

// New returns the backend of a profile.
func New(profile string, pool *pgxpool.Pool, logger *slog.Logger, now time.Time) Backend {
	if profile == Timescale {
		return newTimescale(pool, logger, now)
	}
	return newPostgres(pool, logger)
}

// StartOfDay returns midnight of t's day in UTC.
func StartOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
