package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/store/schema"
)

// timescaleSources names the relation that TimescaleDB computes each rollup from.
var timescaleSources = map[string]string{
	"machine_1m": "snapshots", "machine_1h": "machine_1m", "machine_3h": "machine_1h", "machine_1d": "machine_3h",
	"process_1h": "process_samples", "process_3h": "process_1h", "process_1d": "process_3h",
	"short_lived_1h": ShortLivedMinutes, "short_lived_1d": "short_lived_1h",
}

// bucketOffset is the offset of the buckets of continuous aggregates.
const bucketOffset = time.Millisecond

// aggregateOf returns the hypertable or continuous aggregate of a relation.
func aggregateOf(relation string) string {
	switch {
	case relation == ShortLived:
		return schema.ShortLivedRows.Name
	case relation == ShortLivedMinutes:
		return schema.ShortLivedMinutes
	case slices.Contains(Rollups, relation):
		return relation + "_cagg"
	}
	return relation
}

// aggregatesOf returns the hypertables or continuous aggregates of relations.
func aggregatesOf(relations []string) []string {
	names := make([]string, len(relations))
	for i, relation := range relations {
		names[i] = aggregateOf(relation)
	}
	return names
}

// exclusively calls do on a connection that holds the lock for refreshing and dropping. If another server holds it,
// exclusively returns false.
func exclusively(ctx context.Context, pool *pgxpool.Pool, do func(*pgxpool.Conn) error) (bool, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return false, fmt.Errorf("get a connection: %w", err)
	}
	defer conn.Release()
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, rollupLock).Scan(&locked); err != nil {
		return false, fmt.Errorf("lock the rollups: %w", err)
	}
	if !locked {
		return false, nil
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, rollupLock)
	}()
	return true, do(conn)
}

// firstRefreshed returns the start of the first bucket of a rollup that a refresh may change, for the floor of its
// source. That is the second one after the floor: TimescaleDB before 2.28 counts buckets without their offset, and so a
// refresh also changes the bucket before its window.
func firstRefreshed(rollup string, floor time.Time) time.Time {
	return bucketStart(rollup, floor).Add(bucketWidths[rollup])
}

// refreshWindow returns the largest window of whole buckets within [from, to) that a refresh may change. All refreshes
// by this server use it.
func refreshWindow(rollup string, complete floors, from, to time.Time) (span, bool) {
	if floor, ok := complete[timescaleSources[rollup]]; ok {
		if first := firstRefreshed(rollup, floor); from.Before(first) {
			from = first
		}
	}
	window := span{bucketStart(rollup, from), bucketBefore(rollup, to)}
	return window, window.from.Before(window.to)
}

// RefreshRollups implements Backend. It refreshes what TimescaleDB's jobs do not:
//
//   - Rollups whose job is overdue. That happens if no background worker is free, or if the scheduler does not work:
//     on PostgreSQL 15.20, jobs fail after their first transaction.
//   - Rollups that are computed from those.
//   - What has changed between the floor and the start of a job's window.
func (p *timescale) RefreshRollups(ctx context.Context, now time.Time) error {
	_, err := exclusively(ctx, p.pool, func(conn *pgxpool.Conn) error {
		complete, err := readFloors(ctx, conn)
		if err != nil {
			return err
		}
		p.setFloors(complete)
		list, err := p.policies(ctx, conn)
		if err != nil {
			return err
		}
		status, err := p.jobStatus(ctx, conn, list)
		if err != nil {
			return err
		}
		refreshed := make(map[string]bool)
		var failed []error // a failed refresh must not keep the others from running
		for _, one := range list {
			if one.Kind != "refresh" {
				continue
			}
			due := refreshed[timescaleSources[one.Relation]] || p.isDue(&one, status[one.Job], now)
			done, err := p.refreshPolicy(ctx, conn, &one, complete, due, now)
			if err != nil {
				failed = append(failed, err)
			}
			refreshed[one.Relation] = done
		}
		p.failed.Store(int64(len(failed)))
		return errors.Join(failed...)
	})
	return err
}

// FailedRollups implements Backend.
func (p *timescale) FailedRollups(context.Context) (int64, error) { return p.failed.Load(), nil }

// refreshPolicy refreshes a rollup. If it is not due, only what precedes the window of the job is refreshed: data was
// late, and since then the window has become shorter.
func (p *timescale) refreshPolicy(
	ctx context.Context, conn *pgxpool.Conn, one *policy, complete floors, due bool, now time.Time,
) (done bool, err error) {
	first, ok, err := p.firstChunk(ctx, conn, one.Relation)
	if err != nil || !ok {
		return false, err
	}
	end := now.Add(-one.After)
	// A job omits the bucket at the start of its window.
	start := now.Add(-one.Start + 2*bucketWidths[one.Relation])
	if start.After(end) {
		start = end
	}
	if window, ok := refreshWindow(one.Relation, complete, bucketBefore(one.Relation, first), start); ok {
		pending, err := p.isPending(ctx, conn, one.Relation, window)
		if err != nil {
			return false, err
		}
		if pending {
			if err := p.refresh(ctx, conn, one.Relation, window); err != nil {
				return false, err
			}
			done = true
		}
	}
	if !due {
		return done, nil
	}
	if start = now.Add(-one.Start); first.After(start) {
		start = bucketBefore(one.Relation, first)
	}
	if window, ok := refreshWindow(one.Relation, complete, start, end); ok {
		p.logger.Info("refreshing a rollup that is overdue in TimescaleDB", "relation", one.Relation, "job", one.Job)
		if err := p.refresh(ctx, conn, one.Relation, window); err != nil {
			return done, err
		}
		done = true
	}
	p.mu.Lock()
	p.ran[one.Relation] = now
	p.mu.Unlock()
	return done, nil
}

// firstChunk returns the start of the oldest chunk of a rollup's source, or false.
func (p *timescale) firstChunk(ctx context.Context, db querier, rollup string) (time.Time, bool, error) {
	var first *int64
	err := db.QueryRow(ctx, `SELECT min(s.range_start) FROM _timescaledb_catalog.continuous_agg a
		JOIN _timescaledb_catalog.dimension d ON d.hypertable_id = a.raw_hypertable_id
		JOIN _timescaledb_catalog.dimension_slice s ON s.dimension_id = d.id
		WHERE a.user_view_schema = current_schema() AND a.user_view_name = $1`, aggregateOf(rollup)).Scan(&first)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the oldest chunk of the source of %s: %w", rollup, err)
	}
	if first == nil {
		return time.Time{}, false, nil
	}
	return time.UnixMicro(*first).UTC(), true, nil
}

// refresh refreshes a window of whole buckets. CALL does not support parameters in all protocol modes. TimescaleDB
// omits a bucket at the start that is not whole. Before 2.28 it counts buckets without their offset, so the start has
// none.
func (p *timescale) refresh(ctx context.Context, conn *pgxpool.Conn, rollup string, window span) error {
	window.from = window.from.Add(-bucketOffset)
	_, err := conn.Exec(ctx, fmt.Sprintf(`CALL refresh_continuous_aggregate('%s', '%s'::timestamptz, '%s'::timestamptz)`,
		aggregateOf(rollup), window.from.UTC().Format(time.RFC3339Nano), window.to.UTC().Format(time.RFC3339Nano)))
	if IsLockTimeout(err) { // a job of TimescaleDB is refreshing it
		p.deferWork("another refresh is running", "relation", rollup)
		return nil
	}
	// TimescaleDB before 2.28 computes the end of the data without the offset of the buckets. If all data is in the
	// last bucket, nothing of the window is left. The view aggregates this bucket itself until the next one has data.
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Message == "refresh window too small" {
		p.deferWork("the window has no data outside of the last bucket", "relation", rollup)
		return nil
	}
	if err != nil {
		return fmt.Errorf("refresh %s: %w", rollup, err)
	}
	return nil
}

// isPending reports whether a rollup is not up to date in a window: the source has changed there, or the window was
// never refreshed. TimescaleDB before 2.28 records the time up to which it has refreshed without the offset.
func (p *timescale) isPending(ctx context.Context, db querier, rollup string, window span) (bool, error) {
	var pending bool
	err := db.QueryRow(ctx, `
		SELECT coalesce((SELECT watermark < $4 FROM _timescaledb_catalog.continuous_aggs_invalidation_threshold
				WHERE hypertable_id = a.raw_hypertable_id), true)
			OR EXISTS (SELECT FROM _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log
				WHERE hypertable_id = a.raw_hypertable_id AND lowest_modified_value < $3 AND greatest_modified_value >= $2)
			OR EXISTS (SELECT FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log
				WHERE materialization_id = a.mat_hypertable_id AND lowest_modified_value < $3 AND greatest_modified_value >= $2)
		FROM _timescaledb_catalog.continuous_agg a WHERE a.user_view_schema = current_schema() AND a.user_view_name = $1`,
		aggregateOf(rollup), window.from.UnixMicro(), window.to.UnixMicro(),
		window.to.Add(-bucketOffset).UnixMicro()).Scan(&pending)
	var ranges bool // some versions move what a refresh has begun to a table
	if err == nil && !pending {
		err = db.QueryRow(ctx, `SELECT to_regclass('_timescaledb_catalog.continuous_aggs_materialization_ranges') IS NOT NULL`).
			Scan(&ranges)
	}
	if err == nil && ranges {
		err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM _timescaledb_catalog.continuous_aggs_materialization_ranges r
			JOIN _timescaledb_catalog.continuous_agg a ON a.mat_hypertable_id = r.materialization_id
			WHERE a.user_view_schema = current_schema() AND a.user_view_name = $1
				AND r.lowest_modified_value < $3 AND r.greatest_modified_value >= $2)`,
			aggregateOf(rollup), window.from.UnixMicro(), window.to.UnixMicro()).Scan(&pending)
	}
	if err != nil {
		return false, fmt.Errorf("check whether %s is up to date: %w", rollup, err)
	}
	return pending, nil
}

// makeUpToDate refreshes what is computed from a chunk, as far as its relation is complete. It returns false if
// something is still not up to date.
func (p *timescale) makeUpToDate(
	ctx context.Context, conn *pgxpool.Conn, relation string, complete floors, one span,
) (bool, error) {
	for _, rollup := range dependents(timescaleSources, relation) {
		changed := changedBy(rollup, complete, one)
		if !changed.from.Before(changed.to) {
			continue
		}
		pending, err := p.isPending(ctx, conn, rollup, changed)
		if err != nil {
			return false, err
		}
		if !pending {
			continue
		}
		// The bucket at the end may extend beyond the end.
		window, ok := refreshWindow(rollup, complete, changed.from, one.to.Add(bucketWidths[rollup]))
		if !ok {
			continue
		}
		if err := p.refresh(ctx, conn, rollup, window); err != nil {
			return false, err
		}
	}
	return p.isUpToDate(ctx, conn, relation, complete, one)
}

// isUpToDate reports whether everything that is computed from a chunk is up to date.
func (p *timescale) isUpToDate(
	ctx context.Context, db querier, relation string, complete floors, one span,
) (bool, error) {
	for _, rollup := range dependents(timescaleSources, relation) {
		changed := changedBy(rollup, complete, one)
		if !changed.from.Before(changed.to) {
			continue
		}
		if pending, err := p.isPending(ctx, db, rollup, changed); err != nil || pending {
			return false, err
		}
	}
	return true, nil
}

// changedBy returns the time in which a rollup is computed from a chunk of its source: from the bucket that contains
// the chunk's start, or the first one that may change, to the instant at the chunk's end. Data of this instant is in
// the next chunk, but in the same bucket.
func changedBy(rollup string, complete floors, one span) span {
	from := bucketBefore(rollup, one.from)
	if floor, ok := complete[timescaleSources[rollup]]; ok {
		if first := firstRefreshed(rollup, floor); from.Before(first) {
			from = first
		}
	}
	return span{from, one.to.Add(bucketOffset)}
}

// isRefreshing reports whether a refresh is running in another session: a job of TimescaleDB or a manual one.
func (p *timescale) isRefreshing(ctx context.Context, db querier) (running bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'
			AND (application_name LIKE 'Refresh Continuous Aggregate%'
				OR query LIKE '%refresh_continuous_aggregate(%' OR query LIKE '%run_job(%'))`).Scan(&running)
	if err != nil {
		return false, fmt.Errorf("look for running refreshes: %w", err)
	}
	return running, nil
}

// jobStatus is the result of the last runs of a job.
type jobStatus struct {
	succeeded time.Time // zero if never
	failed    bool      // whether the last run failed
}

// isDue reports whether this server must refresh instead of TimescaleDB's job.
func (p *timescale) isDue(one *policy, status jobStatus, now time.Time) bool {
	p.mu.Lock()
	last, ok := p.ran[one.Relation]
	p.mu.Unlock()
	if !ok {
		last = p.started
	}
	if status.succeeded.After(last) {
		last = status.succeeded
	}
	wait := one.Every
	if one.Job != 0 && !status.failed {
		wait += overdueAfter
	}
	return now.Sub(last) >= wait
}

// jobStatus returns the status of the jobs of policies.
func (p *timescale) jobStatus(ctx context.Context, conn *pgxpool.Conn, list []policy) (map[int32]jobStatus, error) {
	jobs := make([]int32, len(list))
	for i := range list {
		jobs[i] = list[i].Job
	}
	rows, err := conn.Query(ctx, `SELECT job_id, CASE WHEN isfinite(last_successful_finish) THEN last_successful_finish END,
			coalesce(last_run_status = 'Failed', false)
		FROM timescaledb_information.job_stats WHERE job_id = ANY($1)`, jobs)
	if err != nil {
		return nil, fmt.Errorf("read the status of jobs: %w", err)
	}
	found := make(map[int32]jobStatus, len(list))
	var job int32
	var succeeded *time.Time
	var failed bool
	if _, err := pgx.ForEachRow(rows, []any{&job, &succeeded, &failed}, func() error {
		status := jobStatus{failed: failed}
		if succeeded != nil {
			status.succeeded = *succeeded
		}
		found[job] = status
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the status of jobs: %w", err)
	}
	return found, nil
}
