package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// rollupLock is the advisory lock for refreshing rollups.
	rollupLock = 7_265_102
	// RollupDelay is how long after its end an hour is aggregated. Most snapshots have arrived by then.
	// Those that arrive later cause another refresh.
	RollupDelay = 2 * time.Minute
	// rollupBatch is the number of buckets per transaction.
	rollupBatch = 200
	// retryFailed is how long after a failure a bucket is computed again.
	retryFailed = time.Hour
)

// The values of rollup_marks.level: bucket widths in hours.
const (
	levelHour       = 1
	levelThreeHours = 3
	levelDay        = 24
)

// MarkDirty implements Backend.
func (p *postgres) MarkDirty(ctx context.Context, tx pgx.Tx, machines []int32, hours []time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO rollup_marks (machine, bucket, level, claimed)
		SELECT machine, bucket, 1, false FROM unnest($1::integer[], $2::timestamptz[]) u(machine, bucket)
		ORDER BY 1, 2 ON CONFLICT DO NOTHING`, machines, hours)
	return err
}

// RefreshRollups implements Backend. It computes the dirty buckets that have ended. Computing an hour
// marks the coarser bucket that contains it as dirty.
func (p *postgres) RefreshRollups(ctx context.Context, now time.Time) error {
	_, err := exclusively(ctx, p.pool, func(conn *pgxpool.Conn) error { // otherwise, another server is refreshing
		if err := p.discardMarks(ctx, conn); err != nil {
			return fmt.Errorf("discard marks: %w", err)
		}
		var failed []error
		end := now.Add(-RollupDelay)
		for _, level := range []int{levelHour, levelThreeHours, levelDay} {
			for {
				more, failures, err := p.refreshSome(ctx, conn.Conn(), level, end, now)
				failed = append(failed, failures...)
				if err != nil {
					return errors.Join(append(failed, err)...)
				}
				if !more {
					break
				}
			}
		}
		return errors.Join(failed...)
	})
	return err
}

// discardMarks deletes the marks of buckets that cannot be computed again, because a part of their source was dropped.
// Late data that an earlier version accepted has such marks.
func (p *postgres) discardMarks(ctx context.Context, db *pgxpool.Conn) error {
	complete, err := readFloors(ctx, db)
	if err != nil {
		return err
	}
	var hours, coarser time.Time
	for relation, floor := range complete {
		if len(dependents(postgresSources, relation)) == 0 {
			continue
		}
		if hours.Before(floor) { // an hour is computed for all relations of its level, and then for the coarser ones
			hours = floor
		}
		if slices.Contains(Rollups, relation) && coarser.Before(floor) {
			coarser = floor
		}
	}
	_, err = db.Exec(ctx, `DELETE FROM rollup_marks
		WHERE bucket < CASE WHEN level = 1 THEN $1::timestamptz ELSE $2 END`, hours, coarser)
	return err
}

// rollupsOfLevel lists the rollups that are computed together.
var rollupsOfLevel = map[int][]string{
	levelHour:       {"machine_1m", "machine_1h", "process_1h", "short_lived_1h"},
	levelThreeHours: {"machine_3h", "process_3h"},
	levelDay:        {"machine_1d", "process_1d", "short_lived_1d"},
}

// refreshSome claims and computes up to rollupBatch buckets of a level that end at or before a time. If that fails, it
// computes each of them alone, and sets those aside that fail. Their errors are failures.
func (p *postgres) refreshSome(
	ctx context.Context, conn *pgx.Conn, level int, end, now time.Time,
) (more bool, failures []error, err error) {
	machines, buckets, err := p.claim(ctx, conn, level, end, now)
	if err != nil {
		return false, nil, fmt.Errorf("claim buckets of %d h: %w", level, err)
	}
	if len(machines) == 0 {
		return false, nil, nil
	}
	if err := p.ensureRelations(ctx, rollupsOfLevel[level], buckets); err != nil {
		return false, nil, err
	}
	more = len(machines) == rollupBatch
	err = p.compute(ctx, conn, level, machines, buckets)
	if err == nil {
		return more, nil, nil
	}
	if ctx.Err() != nil || conn.IsClosed() || IsLockTimeout(err) { // each bucket alone would wait for the lock, too
		return false, nil, fmt.Errorf("compute buckets of %d h: %w", level, err)
	}
	for i := range machines {
		err := p.compute(ctx, conn, level, machines[i:i+1], buckets[i:i+1])
		if err == nil {
			continue
		}
		if _, setErr := conn.Exec(ctx, `UPDATE rollup_marks SET failed_at = $4
			WHERE machine = $1 AND bucket = $2 AND level = $3 AND claimed`, machines[i], buckets[i], level, now); setErr != nil {
			return false, failures, fmt.Errorf("set a bucket of %d h aside: %w", level, errors.Join(err, setErr))
		}
		failures = append(failures, fmt.Errorf("compute the bucket of %d h of machine %d at %s: %w",
			level, machines[i], buckets[i].UTC().Format(time.RFC3339), err))
	}
	return more, failures, nil
}

// compute computes claimed buckets of a level in one transaction.
func (p *postgres) compute(
	ctx context.Context, conn *pgx.Conn, level int, machines []int32, buckets []time.Time,
) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, statement := range rollupSQL[level] {
			if _, err := tx.Exec(ctx, statement, machines, buckets); err != nil {
				return err
			}
		}
		_, err := tx.Exec(
			ctx,
			`DELETE FROM rollup_marks k USING unnest($1::integer[], $2::timestamptz[]) u(machine, bucket)
			WHERE k.machine = u.machine AND k.bucket = u.bucket AND k.level = $3 AND k.claimed`,
			machines,
			buckets,
			level,
		)
		return err
	})
}

// FailedRollups implements Backend.
func (p *postgres) FailedRollups(ctx context.Context) (failed int64, err error) {
	err = p.pool.QueryRow(ctx, `SELECT count(*) FROM rollup_marks WHERE failed_at IS NOT NULL`).Scan(&failed)
	if err != nil {
		return 0, fmt.Errorf("count failed rollups: %w", err)
	}
	return failed, nil
}

// claim selects dirty buckets and marks them as claimed. Those that failed are selected again after retryFailed. It
// briefly locks the rows of the machines, as writers do. So writers that could not see the claim have committed by
// then, and later writers mark the bucket as dirty again.
func (p *postgres) claim(
	ctx context.Context, conn *pgx.Conn, level int, end, now time.Time,
) (machines []int32, buckets []time.Time, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// A coarse bucket waits for all finer ones that it contains.
		rows, err := tx.Query(ctx, `
			SELECT DISTINCT machine, bucket FROM rollup_marks k
			WHERE level = $1 AND bucket <= $2::timestamptz - make_interval(hours => $1)
			  AND NOT EXISTS (SELECT FROM rollup_marks f WHERE f.machine = k.machine AND f.level < $1
				AND f.bucket >= k.bucket AND f.bucket < k.bucket + make_interval(hours => $1))
			  AND NOT EXISTS (SELECT FROM rollup_marks f WHERE f.machine = k.machine AND f.bucket = k.bucket
				AND f.level = $1 AND f.failed_at > $4)
			ORDER BY bucket, machine LIMIT $3`, level, end, rollupBatch, now.Add(-retryFailed))
		if err != nil {
			return err
		}
		var machine int32
		var bucket time.Time
		if _, err := pgx.ForEachRow(rows, []any{&machine, &bucket}, func() error {
			machines, buckets = append(machines, machine), append(buckets, bucket)
			return nil
		}); err != nil || len(machines) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT FROM machines WHERE id = ANY($1) ORDER BY machine_id FOR NO KEY UPDATE`, machines); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM rollup_marks k USING unnest($1::integer[], $2::timestamptz[]) u(machine, bucket)
			WHERE k.machine = u.machine AND k.bucket = u.bucket AND k.level = $3 AND NOT k.claimed`, machines, buckets, level); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO rollup_marks (machine, bucket, level, claimed)
			SELECT u.machine, u.bucket, $3, true FROM unnest($1::integer[], $2::timestamptz[]) u(machine, bucket) ON CONFLICT DO NOTHING`, machines, buckets, level)
		return err
	})
	return machines, buckets, err
}

// rollupSQL recomputes the claimed buckets of a level and marks those of the next level as dirty.
var rollupSQL = map[int][]string{
	levelHour: {
		deleteRollup("machine_1m_done", "1 hour"),
		deleteRollup("machine_1h_done", "1 hour"),
		deleteRollup("process_1h_done", "1 hour"),
		deleteRollup("short_lived_1h_done", "1 hour"),
		insertRollup("machine_1m_done",
			"machine_buckets(u.machine, u.bucket, u.bucket + interval '1 hour', '1 minute')"),
		insertRollup("machine_1h_done", "machine_buckets(u.machine, u.bucket, u.bucket + interval '1 hour', '1 hour')"),
		insertRollup("process_1h_done", "process_hour(u.machine, u.bucket)"),
		insertRollup("short_lived_1h_done", "short_lived_hour(u.machine, u.bucket)"),
		markRollup(levelThreeHours, "3 hours"),
	},
	levelThreeHours: {
		deleteRollup("machine_3h_done", "3 hours"),
		deleteRollup("process_3h_done", "3 hours"),
		insertRollup("machine_3h_done", "machine_merge(u.machine, u.bucket, '3 hours')"),
		insertRollup("process_3h_done", "process_merge(u.machine, u.bucket, '3 hours')"),
		markRollup(levelDay, "24 hours"),
	},
	levelDay: {
		deleteRollup("machine_1d_done", "24 hours"),
		deleteRollup("process_1d_done", "24 hours"),
		deleteRollup("short_lived_1d_done", "24 hours"),
		insertRollup("machine_1d_done", "machine_merge(u.machine, u.bucket, '24 hours')"),
		insertRollup("process_1d_done", "process_merge(u.machine, u.bucket, '24 hours')"),
		insertRollup("short_lived_1d_done", "short_lived_merge(u.machine, u.bucket, '24 hours')"),
	},
}

func deleteRollup(table, width string) string {
	return `DELETE FROM ` + table + ` d USING unnest($1::integer[], $2::timestamptz[]) u(machine, bucket)
		WHERE d.machine = u.machine AND d.bucket >= u.bucket AND d.bucket < u.bucket + interval '` + width + `'`
}

func insertRollup(table, source string) string {
	return `INSERT INTO ` + table + ` SELECT r.* FROM unnest($1::integer[], $2::timestamptz[]) u(machine, bucket) CROSS JOIN LATERAL ` + source + ` r`
}

func markRollup(level int, width string) string {
	return fmt.Sprintf(`INSERT INTO rollup_marks (machine, bucket, level, claimed)
		SELECT DISTINCT machine, date_bin('%s', bucket, '2000-01-01 00:00:00+00'), %d, false
		FROM unnest($1::integer[], $2::timestamptz[]) u(machine, bucket) ON CONFLICT DO NOTHING`, width, level)
}

// RolledUpUntil implements Backend.
func (p *postgres) RolledUpUntil(ctx context.Context, machine int32, now time.Time) (time.Time, error) {
	hour := now.UTC().Truncate(time.Hour)
	if machine == 0 { // the view aggregates each machine's dirty hours itself
		return hour.Add(2 * time.Hour), nil
	}
	var first *time.Time
	err := p.pool.QueryRow(ctx, `SELECT min(bucket) FROM rollup_marks WHERE machine = $1 AND level = 1 AND bucket >= $2`, machine, hour.Add(-2*time.Hour)).
		Scan(&first)
	if err != nil {
		return hour, fmt.Errorf("look for hours without rollups: %w", err)
	}
	if first != nil && first.Before(hour) {
		return *first, nil
	}
	return hour, nil
}

// RefreshLag implements Backend.
func (p *postgres) RefreshLag(ctx context.Context, now time.Time) (time.Duration, error) {
	var first *time.Time
	due := now.Add(-RollupDelay).UTC().Truncate(time.Hour)
	if err := p.pool.QueryRow(ctx, `SELECT min(bucket) FROM rollup_marks WHERE level = 1 AND bucket < $1`, due).Scan(&first); err != nil {
		return 0, fmt.Errorf("look for hours without rollups: %w", err)
	}
	if first == nil {
		return 0, nil
	}
	return now.Sub(first.Add(time.Hour)), nil
}

// ApplyRetention implements Backend. It does nothing, because the server drops partitions itself.
func (p *postgres) ApplyRetention(context.Context, Retention, time.Time) error { return nil }

// deleteRollups deletes a machine's rollups and marks. No rollup may be refreshed meanwhile.
func (p *postgres) deleteRollups(ctx context.Context, conn *pgxpool.Conn, machine int32) error {
	for _, relation := range Rollups {
		if _, err := conn.Exec(ctx, `DELETE FROM `+tableOf(relation)+` WHERE machine = $1`, machine); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, `DELETE FROM rollup_marks WHERE machine = $1`, machine)
	return err
}
