package store

import (
	"context"
	"fmt"
	"time"

	"github.com/snapwatch/snapwatch/internal/pgsession"
)

// maxRollupsBehind is how far rollups may be behind before CheckRollups returns an error.
const maxRollupsBehind = 3 * time.Hour

// CheckWrite returns an error if the database cannot commit a change, or does not have the schema of this program.
func (s *Store) CheckWrite(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return pgsession.Cause(err)
	}
	if _, err := s.pools.upkeep.Exec(ctx, `INSERT INTO settings (key, value) VALUES ('last_write_check', $1)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, s.cfg.Now().UTC().Format(time.RFC3339)); err != nil {
		return fmt.Errorf("commit a change: %w", pgsession.Cause(err))
	}
	return nil
}

// CheckRollups returns an error if rollups are far behind or could not be computed at the last refresh.
func (s *Store) CheckRollups(context.Context) error {
	if failed := s.rollupsFailed.Load(); failed > 0 {
		return fmt.Errorf("%d buckets of rollups could not be computed and are tried again; see the log", failed)
	}
	if behind := time.Duration(s.rollupsBehind.Load()); IsRollupLagLong(behind) {
		return fmt.Errorf("the rollups are %s behind; see the log", behind.Round(time.Minute))
	}
	return nil
}

// ReadConns returns the number of connections for reads.
func (s *Store) ReadConns() int { return int(s.pools.reads.Config().MaxConns) }
