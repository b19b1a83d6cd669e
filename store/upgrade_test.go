package store_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// The schemas before and after the migrations that give samples weights.
const (
	versionWithoutWeights = 15
	versionOfWeights      = 18
	latestVersion         = 19
)

// Rollups whose snapshots were dropped survive the migration that gives them new columns.
func TestUpgradeKeepsRollups(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		step := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		ctx := t.Context()
		step("migrate down", store.MigrateTo(ctx, db.URL, versionWithoutWeights))
		conn := storetest.Connect(t, db.URL)
		execute := func(sql string, args ...any) {
			t.Helper()
			_, err := conn.Exec(ctx, sql, args...)
			step(sql, err)
		}
		var machine int32
		step("insert a machine", conn.QueryRow(ctx, `INSERT INTO machines (machine_id, registered_at, last_seen)
			VALUES ('old', now(), now()) RETURNING id`).Scan(&machine))
		var process int64
		step("insert a process", conn.QueryRow(ctx, `INSERT INTO processes
				(machine, pid, ppid, identity, last_day, name, command_line, user_name)
			VALUES ($1, 1, 0, 1, now(), 'init', '', '') RETURNING id`, machine).Scan(&process))
		old := time.Now().UTC().Truncate(24 * time.Hour).Add(-5 * 24 * time.Hour)
		recent := time.Now().UTC().Truncate(24 * time.Hour).Add(-2 * 24 * time.Hour)
		if db.Detection.Profile == backend.Postgres {
			execute(`CREATE TABLE machine_1h_done_old PARTITION OF machine_1h_done DEFAULT`)
			execute(`CREATE TABLE process_1h_done_old PARTITION OF process_1h_done DEFAULT`)
			execute(`INSERT INTO machine_1h_done (machine, bucket, samples, interval_ms, cpu_samples, cpu_usage_avg, load1_avg,
				process_count_avg, read_bytes) VALUES ($1, $2, 60, 3600000, 60, 12.5, 1.5, 3, 1000)`, machine, old)
			execute(`INSERT INTO process_1h_done (machine, bucket, process, cpu_ms, memory_avg, memory_samples, memory_max, first_ts,
				last_ts) VALUES ($1, $2, $3, 5000, 1000000, 60, 2000000, $2, $2)`, machine, old, process)
		} else {
			for _, at := range []time.Time{old.Add(time.Minute), recent.Add(time.Minute)} {
				execute(`INSERT INTO snapshots (ts, full_ts, interval_ms, cpu_usage, load1, machine, process_count, read_bytes)
					VALUES ($1, $1, 3600000, 12.5, 1.5, $2, 3, 1000)`, at, machine)
				execute(`INSERT INTO process_samples (ts, process, cpu_ms, memory_usage, machine, in_full, hour)
					VALUES ($1, $2, 5000, 1000000, $3, true, 0)`, at, process, machine)
			}
			for _, relation := range backend.Rollups {
				execute(`CALL refresh_continuous_aggregate('` + relation + `', NULL, date_bin('1 day', now(), '2000-01-01 00:00:00+00'))`)
			}
			for _, relation := range backend.Series {
				_, err := conn.Exec(ctx, `SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz)`, relation, recent)
				step("drop chunks", err)
			}
		}
		step("migrate up", store.MigrateTo(ctx, db.URL, versionOfWeights))
		step("migrate to the latest version", store.MigrateTo(ctx, db.URL, latestVersion))
		if db.Detection.Profile == backend.Timescale {
			now := time.Now()
			s := db.Open(t, func(c *store.Config) {
				c.Now, c.Retention = func() time.Time { return now }, 30*24*time.Hour
			})
			for range 3 {
				now = now.Add(2 * time.Hour) // all refreshes are due
				step("maintain", s.MaintainOnce(ctx))
			}
		}
		var cpu, load, memory float64
		var bytes, samples, spent int64
		step("read the rollup of the machine", conn.QueryRow(ctx, `SELECT cpu_usage_avg, load1_avg, read_bytes, process_count_sum
			FROM machine_1h WHERE machine = $1 AND bucket = $2`, machine, old).Scan(&cpu, &load, &bytes, &samples))
		step("read the rollup of the process", conn.QueryRow(ctx, `SELECT cpu_ms, memory_avg FROM process_1h
			WHERE process = $1 AND bucket = $2`, process, old).Scan(&spent, &memory))
		if cpu != 12.5 || load != 1.5 || bytes != 1000 || spent != 5000 || memory != 1_000_000 || samples == 0 {
			t.Errorf("the rollups are %v %% CPU, load %v, %d bytes, %d ms, %v bytes, %d samples",
				cpu, load, bytes, spent, memory, samples)
		}
	})
}
