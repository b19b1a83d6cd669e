// Package query reads what the writer stored: machines, snapshots, processes and their history.
// Queries are the same for both storage profiles.
package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/internal/histogram"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/backend"
)

// Config configures Queries. All fields are required.
type Config struct {
	Pool    *pgxpool.Pool
	Backend backend.Backend
	// Retention returns the retention in effect.
	Retention func() backend.Retention
	// Now is the clock.
	Now func() time.Time
}

// Queries reads from the database. It is safe for concurrent use.
type Queries struct {
	pool      *pgxpool.Pool
	backend   backend.Backend
	retention func() backend.Retention
	now       func() time.Time
	seconds   *prometheus.HistogramVec
}

// New returns Queries and registers their metrics.
func New(cfg Config, registry prometheus.Registerer) *Queries {
	q := &Queries{pool: cfg.Pool, backend: cfg.Backend, retention: cfg.Retention, now: cfg.Now}
	q.seconds = prometheus.NewHistogramVec(
		histogram.Options("snapwatch_store_read_seconds", "Duration of a query, by kind.",
			prometheus.ExponentialBuckets(0.0005, 2, 14)),
		[]string{"kind"},
	)
	for _, kind := range readKinds { // create each series now, so that rate() sees the first read
		q.seconds.WithLabelValues(kind)
	}
	registry.MustRegister(q.seconds)
	return q
}

// On returns the same queries on another pool of connections.
func (q *Queries) On(pool *pgxpool.Pool) *Queries {
	other := *q
	other.pool = pool
	return &other
}

// readKinds are the values of the label kind that exist from the start.
var readKinds = []string{"machines", "machine", "range", "at", "after", "chart", "top", "process", "name", "diff",
	"fleet_at", "fleet_window", "nearest", "storage"}

func (q *Queries) observe(kind string, started time.Time) {
	q.seconds.WithLabelValues(kind).Observe(time.Since(started).Seconds())
}

// Horizon returns the time of the oldest snapshots that are kept. Retention and the disk budget determine it. Older
// snapshots are not accepted.
func (q *Queries) Horizon() snapshot.Time {
	return snapshot.TimeOf(q.keptSince("snapshots", q.backend.CompleteFrom()))
}

// keptFrom returns the time from which a rollup is kept.
func (q *Queries) keptFrom(rollup string) time.Time {
	return q.keptSince(rollup, q.backend.DroppedBefore(rollup))
}

// isKept reports whether a rollup is kept from a time on.
func (q *Queries) isKept(rollup string, from snapshot.Time) bool {
	return !from.Std().Before(q.keptFrom(rollup))
}

// keptSince returns the start of the retention of a relation, or the time before which data was dropped, if that is
// later.
func (q *Queries) keptSince(relation string, dropped time.Time) time.Time {
	from := q.now().Add(-q.retention().For(relation))
	if dropped.After(from) {
		from = dropped
	}
	return from
}

// machineKey returns the internal key of a machine, or snapshot.ErrNoMachine.
func (q *Queries) machineKey(ctx context.Context, machineID string) (int32, error) {
	var machine int32
	err := q.pool.QueryRow(ctx, `SELECT id FROM machines WHERE machine_id = $1`, machineID).Scan(&machine)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, snapshot.ErrNoMachine
	}
	if err != nil {
		return 0, fmt.Errorf("look up a machine: %w", err)
	}
	return machine, nil
}
