package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	policiesKey = "policies"
	// compressAfter is the age at which a chunk is compressed. Late data of the last hours then goes
	// into uncompressed chunks.
	compressAfter = 12 * time.Hour
	// batchRows is the number of rows that are compressed together. Compared with TimescaleDB's default
	// of 1000, it saves 13 % of space. Reads do not become slower, because they decompress at least an
	// hour of a machine anyway.
	batchRows = 4000
	// dropMargin is how much later than this server TimescaleDB's own job drops a chunk. The job is for
	// databases without a running server.
	dropMargin = 48 * time.Hour
)

// policy describes a job of TimescaleDB.
type policy struct {
	Relation string        `json:"relation"`
	Kind     string        `json:"kind"` // refresh, compress or drop
	Start    time.Duration `json:"start,omitempty"`
	After    time.Duration `json:"after"`
	Every    time.Duration `json:"every"`
	Job      int32         `json:"job"`
}

// policiesOf returns the policies for a retention.
func policiesOf(keep Retention) []policy {
	raw := keep.For("snapshots")
	var list []policy
	for _, relation := range Series {
		list = append(list,
			policy{Relation: relation, Kind: "compress", After: compressAfter, Every: time.Hour},
			policy{Relation: relation, Kind: "drop", After: keep.For(relation) + dropMargin, Every: 24 * time.Hour})
	}
	for _, relation := range Rollups {
		// Late data is accepted for as long as raw data is kept, so the refresh window is as long. It must
		// not be longer: a refresh of a time whose rows are dropped would delete their rollups. A window
		// must contain at least two buckets.
		refresh := policy{
			Relation: relation,
			Kind:     "refresh",
			Start:    raw,
			After:    10 * time.Minute,
			Every:    10 * time.Minute,
		}
		compress := policy{Relation: relation, Kind: "compress", After: 3 * 24 * time.Hour, Every: 24 * time.Hour}
		dropAfter := keep.For(relation)
		switch relation {
		case "machine_1m":
			refresh.After, refresh.Every = time.Minute, 5*time.Minute
		case "machine_3h", "process_3h":
			refresh.Every = 30 * time.Minute
			dropAfter = max(dropAfter, 4*24*time.Hour)
		case "machine_1d", "process_1d":
			refresh.Start, refresh.Every = max(raw, 3*24*time.Hour), time.Hour
		}
		list = append(
			list, refresh, compress,
			policy{Relation: relation, Kind: "drop", After: dropAfter + dropMargin, Every: 24 * time.Hour},
		)
	}
	return list
}

// ApplyRetention implements Backend. It replaces the policies that differ from those of the retention.
// It records them in the table settings, so that a restart does not reset their schedule.
func (p *timescale) ApplyRetention(ctx context.Context, keep Retention, now time.Time) error {
	if keep.BudgetBytes > 0 { // do not refresh days that were dropped because of the budget
		from, _, err := p.Oldest(ctx, "process_samples")
		if err != nil {
			return err
		}
		if !from.IsZero() {
			keep.RawDays = max(1, min(keep.RawDays, int(now.Sub(from)/(24*time.Hour))))
		}
	}
	if err := p.setBatchSize(ctx); err != nil {
		return err
	}
	list := policiesOf(keep)
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		// This also locks the row, so that servers do not change policies at the same time.
		if _, err := tx.Exec(ctx, `INSERT INTO settings (key, value) VALUES ($1, '[]') ON CONFLICT (key) DO UPDATE SET value = settings.value`, policiesKey); err != nil {
			return err
		}
		there, err := p.policies(ctx, tx)
		if err != nil {
			return err
		}
		if slices.EqualFunc(there, list, func(a, b policy) bool { a.Job = 0; return a == b }) {
			return nil
		}
		for i := range list {
			one := &list[i]
			if k := slices.IndexFunc(there, func(t policy) bool { t.Job = 0; return t == *one }); k >= 0 {
				one.Job = there[k].Job
				continue
			}
			if err := one.replace(ctx, tx); err != nil {
				return fmt.Errorf("%s policy of %s: %w", one.Kind, one.Relation, err)
			}
		}
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE settings SET value = $2 WHERE key = $1`, policiesKey, string(text))
		return err
	})
	if err != nil {
		return fmt.Errorf("set the policies of TimescaleDB: %w", err)
	}
	return nil
}

// setBatchSize sets batchRows for the whole database, and so for TimescaleDB's jobs. It does nothing if
// the setting was changed before or if this version of TimescaleDB lacks it (2.23 does, 2.28 has it).
func (p *timescale) setBatchSize(ctx context.Context) error {
	const name = "timescaledb.compression_batch_size_limit"
	var unset, owner bool
	var database string
	err := p.pool.QueryRow(ctx, `SELECT s.source = 'default', pg_has_role(d.datdba, 'MEMBER'), quote_ident(d.datname) FROM pg_settings s, pg_database d
		WHERE CASE WHEN s.name = $1 THEN s.max_val::bigint >= $2 END AND d.datname = current_database()
			AND NOT EXISTS (SELECT FROM pg_db_role_setting r, unnest(r.setconfig) c WHERE r.setdatabase = d.oid AND c LIKE $1 || '=%')`, name, batchRows).
		Scan(&unset, &owner, &database)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !unset {
		return nil
	}
	if err == nil && !owner {
		p.logger.Info("cannot set the size of compressed batches: not the owner of the database",
			"setting", name, "rows", batchRows)
		return nil
	}
	if err == nil {
		_, err = p.pool.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %s SET %s = %d`, database, name, batchRows))
	}
	if err != nil {
		return fmt.Errorf("set the size of compressed batches: %w", err)
	}
	return nil
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// policies returns the recorded policies.
func (p *timescale) policies(ctx context.Context, db querier) ([]policy, error) {
	var text []byte
	err := db.QueryRow(ctx, `SELECT value FROM settings WHERE key = $1`, policiesKey).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the recorded policies: %w", err)
	}
	var list []policy
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read the recorded policies: %w", err)
	}
	return list, nil
}

// replace replaces the job and sets o.Job.
func (o *policy) replace(ctx context.Context, tx pgx.Tx) error {
	statements := map[string][2]string{
		"refresh": {`SELECT remove_continuous_aggregate_policy($1::text::regclass, if_exists => true)`,
			`SELECT add_continuous_aggregate_policy($1::text::regclass, start_offset => $2::interval, end_offset => $3::interval, schedule_interval => $4::interval)`},
		"compress": {`SELECT remove_compression_policy($1::text::regclass, if_exists => true)`,
			`SELECT add_compression_policy($1::text::regclass, compress_after => $2::interval, schedule_interval => $3::interval)`},
		"drop": {`SELECT remove_retention_policy($1::text::regclass, if_exists => true)`,
			`SELECT add_retention_policy($1::text::regclass, drop_after => $2::interval, schedule_interval => $3::interval)`},
	}[o.Kind]
	if _, err := tx.Exec(ctx, statements[0], o.Relation); err != nil {
		return err
	}
	args := []any{o.Relation, o.After, o.Every}
	if o.Kind == "refresh" {
		args = []any{o.Relation, o.Start, o.After, o.Every}
	}
	return tx.QueryRow(ctx, statements[1], args...).Scan(&o.Job)
}

// RefreshRollups implements Backend. It runs the jobs that have not succeeded for three of their
// intervals. That happens if no background worker is free, or if TimescaleDB's scheduler does not work
// (seen on PostgreSQL 15.20).
func (p *timescale) RefreshRollups(ctx context.Context, now time.Time) error {
	list, err := p.policies(ctx, p.pool)
	if err != nil {
		return err
	}
	succeeded, err := p.successes(ctx, list)
	if err != nil {
		return err
	}
	var failed []error // a failed job must not keep the others from running
	for _, one := range list {
		since := p.lastRun(one.Job)
		if last := succeeded[one.Job]; last.After(since) {
			since = last
		}
		if now.Sub(since) >= 3*one.Every {
			failed = append(failed, p.run(ctx, one, now))
		}
	}
	return errors.Join(failed...)
}

// successes returns when TimescaleDB last ran each job with success.
func (p *timescale) successes(ctx context.Context, list []policy) (map[int32]time.Time, error) {
	jobs := make([]int32, len(list))
	for i := range list {
		jobs[i] = list[i].Job
	}
	rows, err := p.pool.Query(ctx, `SELECT job_id, last_successful_finish FROM timescaledb_information.job_stats
		WHERE job_id = ANY($1) AND isfinite(last_successful_finish)`, jobs)
	if err != nil {
		return nil, fmt.Errorf("read the status of jobs: %w", err)
	}
	at := make(map[int32]time.Time, len(list))
	var job int32
	var last time.Time
	if _, err := pgx.ForEachRow(rows, []any{&job, &last}, func() error {
		at[job] = last
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the status of jobs: %w", err)
	}
	return at, nil
}

// lastRun returns when this server last ran a job, or when the server started.
func (p *timescale) lastRun(job int32) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.ran[job]; ok {
		return at
	}
	return p.started
}

// run runs the job of a policy. CALL does not support parameters in all protocol modes.
func (p *timescale) run(ctx context.Context, one policy, now time.Time) error {
	p.logger.Info("running a job that is overdue in TimescaleDB",
		"kind", one.Kind, "relation", one.Relation, "job", one.Job)
	if _, err := p.pool.Exec(ctx, fmt.Sprintf(`CALL run_job(%d)`, one.Job)); err != nil {
		return fmt.Errorf("run the %s job of %s: %w", one.Kind, one.Relation, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ran[one.Job] = now
	return nil
}
