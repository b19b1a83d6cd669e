package inspection

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Timescale is the state of TimescaleDB.
type Timescale struct {
	Version string
	License string
	// MaxWorkers is the number of background workers that TimescaleDB may use, and MaxProcesses that of all extensions.
	MaxWorkers, MaxProcesses, MaxParallel int
	// Restoring reports that the database is in the mode for restoring a dump, in which jobs do not run.
	Restoring bool
	// Failed has the jobs whose last run failed, and Overdue the number of jobs that should have run an hour ago.
	Failed  []string
	Overdue int
}

// Timescale reads the state of TimescaleDB. It returns nil if the database does not have the extension.
func (d *Database) Timescale(ctx context.Context) (found *Timescale, err error) {
	err = d.read(ctx, func(tx pgx.Tx) error {
		var t Timescale
		err := tx.QueryRow(ctx, `SELECT extversion, coalesce(current_setting('timescaledb.license', true), ''),
				coalesce(current_setting('timescaledb.max_background_workers', true)::int, 0),
				current_setting('max_worker_processes')::int, current_setting('max_parallel_workers')::int,
				coalesce(current_setting('timescaledb.restoring', true)::bool, false)
			FROM pg_extension WHERE extname = 'timescaledb'`).
			Scan(&t.Version, &t.License, &t.MaxWorkers, &t.MaxProcesses, &t.MaxParallel, &t.Restoring)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the settings of TimescaleDB: %w", err)
		}
		rows, err := tx.Query(ctx, `SELECT format('%s (job %s)', coalesce(j.proc_name, ''), j.job_id)
			FROM timescaledb_information.jobs j JOIN timescaledb_information.job_stats s USING (job_id)
			WHERE s.last_run_status = 'Failed' ORDER BY j.job_id LIMIT 20`)
		if err == nil {
			t.Failed, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return fmt.Errorf("read the results of jobs: %w", err)
		}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM timescaledb_information.jobs j
			JOIN timescaledb_information.job_stats s USING (job_id)
			WHERE j.scheduled AND s.job_status = 'Scheduled' AND s.next_start < now() - interval '1 hour'`).
			Scan(&t.Overdue); err != nil {
			return fmt.Errorf("read the schedule of jobs: %w", err)
		}
		found = &t
		return nil
	})
	return found, err
}
