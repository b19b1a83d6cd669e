package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// mergeAfter is the time after the end of an hour after which its short-lived processes are merged, and
	// mergeWindow is for how long after that late snapshots are merged too.
	mergeAfter  = 30 * time.Minute
	mergeWindow = 72 * time.Hour
	// mergedProcesses is about how many processes a merged row has. A larger row takes hardly less space for each
	// process, and takes longer to read: to find an element of an array with nulls or of texts, PostgreSQL reads those
	// before it. A row of one snapshot can have more.
	mergedProcesses = 1000
	// enoughProcesses is the average number of processes in the rows of an hour from which merging them would hardly
	// save space. It is less than half of mergedProcesses, so that merged rows are not merged again.
	enoughProcesses = 250
)

// unmerged is an hour of a machine with rows of short-lived processes that should be merged.
type unmerged struct {
	machine int32
	from    time.Time // the hour is (from, from + 1 h]
	rows    int64
}

// Compress implements Backend. It merges the short-lived processes of the snapshots of an hour: a row for each snapshot
// takes several times the space if it has only a few processes.
func (p *postgres) Compress(ctx context.Context, now time.Time) error {
	end := now.Add(-mergeAfter).UTC().Truncate(time.Hour)
	hours, err := p.unmergedHours(ctx, end.Add(-mergeWindow), end)
	if err != nil {
		return fmt.Errorf("look for short-lived processes to merge: %w", err)
	}
	var failed []error
	replaced := make(map[time.Time]int64) // rows by day
	for i := range hours {
		one := &hours[i]
		switch err := p.mergeHour(ctx, one); {
		case err == nil:
			replaced[StartOfDay(one.from)] += one.rows
		case !IsMissingPartition(err):
			failed = append(failed, fmt.Errorf("merge short-lived processes of an hour: %w", err))
		}
	}
	for day, rows := range replaced { // later hours of a day that is not over use the space
		if err := p.compact(ctx, ShortLived, day, rows); err != nil {
			failed = append(failed, fmt.Errorf("return the space of merged rows: %w", err))
		}
	}
	return errors.Join(failed...)
}

// unmergedHours returns the hours in (from, to] with rows that should be merged.
func (p *postgres) unmergedHours(ctx context.Context, from, to time.Time) ([]unmerged, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT machine, date_bin('1 hour', ts - interval '1 ms', '2000-01-01 00:00:00+00') AS hour, count(*)
		FROM short_lived_batches WHERE ts > $1 AND ts <= $2
		GROUP BY machine, hour HAVING count(*) > 1 AND sum(processes) < $3::bigint * count(*) ORDER BY hour, machine`,
		from, to, enoughProcesses)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (unmerged, error) {
		var one unmerged
		err := row.Scan(&one.machine, &one.from, &one.rows)
		return one, err
	})
}

// mergeHour merges the rows of an hour. A deletion of the machine waits for it, or is not undone.
func (p *postgres) mergeHour(ctx context.Context, one *unmerged) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `SELECT FROM machines WHERE id = $1 FOR KEY SHARE`, one.machine)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, mergeSQL, one.machine, one.from, one.from.Add(time.Hour), mergedProcesses)
		return err
	})
}

// mergeSQL replaces the rows of machine $1 in ($2, $3] by one for each $4 processes, and the rest of those of a
// snapshot. array_cat reads and decompresses an array once, as in the view short_lived. All arrays are formed from the
// same rows in the same order. One that would have no value is null.
const mergeSQL = `
	WITH old AS (
		DELETE FROM short_lived_batches WHERE machine = $1 AND ts > $2 AND ts <= $3 RETURNING *
	), numbered AS (
		SELECT *, (sum(processes) OVER (ORDER BY ts) - processes) / $4::bigint AS part FROM old
	), part AS (
		SELECT *, max(ts) OVER w AS last, min(first_ts) OVER w AS first FROM numbered WINDOW w AS (PARTITION BY part)
	), process AS (
		SELECT b.last, b.first, b.cpu_us_max, b.memory_max,
			(extract(epoch FROM b.last - b.ts) * 1000)::integer + coalesce(a.at_ms[i], 0) AS at_ms,
			a.command[i] AS command, a.owner[i] AS owner, a.pid[i] AS pid, a.ppid[i] AS ppid, a.age_ms[i] AS age_ms,
			a.cpu_us[i] AS cpu_us, a.memory[i] AS memory, a.read_bytes[i] AS read_bytes,
			a.write_bytes[i] AS write_bytes, a.exit[i] AS exit, a.vars[i] AS vars
		FROM part b
			CROSS JOIN LATERAL (SELECT array_cat(b.at_ms, NULL) AS at_ms, array_cat(b.command, NULL) AS command,
				array_cat(b.owner, NULL) AS owner, array_cat(b.pid, NULL) AS pid, array_cat(b.ppid, NULL) AS ppid,
				array_cat(b.age_ms, NULL) AS age_ms, array_cat(b.cpu_us, NULL) AS cpu_us,
				array_cat(b.memory, NULL) AS memory, array_cat(b.read_bytes, NULL) AS read_bytes,
				array_cat(b.write_bytes, NULL) AS write_bytes, array_cat(b.exit, NULL) AS exit,
				array_cat(b.vars, NULL) AS vars OFFSET 0) a
			CROSS JOIN LATERAL generate_series(1, b.processes) i
		ORDER BY b.last, b.ts, i
	)
	INSERT INTO short_lived_batches (ts, first_ts, machine, processes, cpu_us_max, memory_max, at_ms, command, owner,
		pid, ppid, age_ms, cpu_us, memory, read_bytes, write_bytes, exit, vars)
	SELECT last, min(first), $1, count(*), max(cpu_us_max), max(memory_max),
		CASE WHEN max(at_ms) > 0 THEN array_agg(at_ms) END, array_agg(command),
		array_agg(owner), array_agg(pid), array_agg(ppid), array_agg(age_ms),
		CASE WHEN count(cpu_us) > 0 THEN array_agg(cpu_us) END,
		CASE WHEN count(memory) > 0 THEN array_agg(memory) END,
		CASE WHEN count(read_bytes) > 0 THEN array_agg(read_bytes) END,
		CASE WHEN count(write_bytes) > 0 THEN array_agg(write_bytes) END,
		CASE WHEN count(exit) > 0 THEN array_agg(exit) END,
		CASE WHEN count(vars) > 0 THEN array_agg(vars) END
	FROM process GROUP BY last`
