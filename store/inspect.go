package store

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
)

// HistoryStatus is the state of the stored history of a database.
type HistoryStatus struct {
	Storage *query.Storage
	// RollupsBehind is the time since the end of the oldest hour whose rollups are overdue, or 0.
	RollupsBehind time.Duration
}

// ReadHistoryStatus returns the state of the stored history of a migrated database with a profile. It changes nothing,
// and works beside a server.
func ReadHistoryStatus(ctx context.Context, databaseURL, profile string) (*HistoryStatus, error) {
	config, err := poolConfig(databaseURL, "snapwatch doctor", 1, readTimeout, 0)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	defer pool.Close()
	keep := backend.DefaultRetention(profile)
	var text []byte
	if err := pool.QueryRow(ctx, `SELECT coalesce((SELECT value FROM settings WHERE key = $1), '{}')`, retentionKey).
		Scan(&text); err != nil {
		return nil, fmt.Errorf("read the retention: %w", err)
	}
	if err := json.Unmarshal(text, &keep); err != nil {
		return nil, fmt.Errorf("read the retention: %w", err)
	}
	now := time.Now()
	tables := backend.New(profile, pool, slog.New(slog.DiscardHandler), now)
	if err := tables.LoadFloors(ctx); err != nil {
		return nil, err
	}
	queries := query.New(query.Config{
		Pool: pool, Backend: tables, Retention: func() backend.Retention { return keep }, Now: time.Now,
	}, prometheus.NewRegistry())
	status := &HistoryStatus{}
	if status.Storage, err = queries.Storage(ctx); err != nil {
		return nil, fmt.Errorf("read the disk usage: %w", err)
	}
	if status.RollupsBehind, err = tables.RefreshLag(ctx, now); err != nil {
		return nil, fmt.Errorf("read how far the rollups are behind: %w", err)
	}
	return status, nil
}

// IsRollupLagLong reports whether rollups are so far behind that they need attention.
func IsRollupLagLong(behind time.Duration) bool { return behind > maxRollupsBehind }
