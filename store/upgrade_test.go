package store_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// versionWithoutWeights is the schema before the migrations that give samples weights.
const versionWithoutWeights = 15

// The series and rollups of that version.
var (
	oldSeries  = []string{"snapshots", "process_samples", "disk_samples", "net_samples"}
	oldRollups = []string{
		"machine_1m", "machine_1h", "process_1h", "machine_3h", "process_3h", "machine_1d", "process_1d",
	}
)

// oldDatabase is a database of versionWithoutWeights with two machines of one process.
type oldDatabase struct {
	t         *testing.T
	db        storetest.Database
	conn      *pgx.Conn
	machines  [2]int32
	processes [2]int64
}

// newOldDatabase returns a database with partitions for the past days.
func newOldDatabase(t *testing.T, db storetest.Database, days int) *oldDatabase {
	t.Helper()
	if err := store.MigrateTo(t.Context(), db.URL, versionWithoutWeights, storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	o := &oldDatabase{t: t, db: db, conn: storetest.Connect(t, db.URL)}
	for i := range o.machines {
		if err := o.conn.QueryRow(t.Context(), `INSERT INTO machines (machine_id, registered_at, last_seen)
			VALUES ($1, now(), now()) RETURNING id`, fmt.Sprintf("m%d", i)).Scan(&o.machines[i]); err != nil {
			t.Fatal(err)
		}
		if err := o.conn.QueryRow(t.Context(), `INSERT INTO processes
				(machine, pid, ppid, identity, last_day, name, command_line, user_name)
			VALUES ($1, 1, 0, 1, now(), 'init', '', '') RETURNING id`, o.machines[i]).Scan(&o.processes[i]); err != nil {
			t.Fatal(err)
		}
	}
	if db.Detection.Profile == backend.Postgres {
		for age := days; age >= 0; age-- {
			o.createPartitions(backend.StartOfDay(time.Now()).AddDate(0, 0, -age))
		}
	}
	return o
}

func (o *oldDatabase) execute(sql string, args ...any) {
	o.t.Helper()
	if _, err := o.conn.Exec(o.t.Context(), sql, args...); err != nil {
		o.t.Fatalf("%s: %v", sql, err)
	}
}

// createPartitions creates the missing partitions of a day and its month.
func (o *oldDatabase) createPartitions(day time.Time) {
	o.t.Helper()
	for _, relation := range slices.Concat(oldSeries, oldRollups) {
		table, name, from, to := relation, day.Format("20060102"), day, day.AddDate(0, 0, 1)
		if slices.Contains(oldRollups, relation) {
			table += "_done"
			if relation != "machine_1m" {
				name = day.Format("200601")
				from = time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC)
				to = from.AddDate(0, 1, 0)
			}
		}
		o.execute(fmt.Sprintf(
			`CREATE TABLE IF NOT EXISTS %[1]s_%[2]s PARTITION OF %[1]s FOR VALUES FROM ('%[3]s') TO ('%[4]s')`,
			table, name, from.Format(time.RFC3339), to.Format(time.RFC3339)))
	}
}

// insert stores a snapshot as an earlier version did.
func (o *oldDatabase) insert(machine int, at time.Time, interval time.Duration, cpu float64, memory int64) {
	o.t.Helper()
	o.execute(`INSERT INTO snapshots (ts, full_ts, interval_ms, cpu_usage, load1, machine, process_count, read_bytes)
		VALUES ($1, $1, $2, $3, 1.5, $4, 3, 1000)`, at, interval.Milliseconds(), cpu, o.machines[machine])
	o.execute(`INSERT INTO process_samples (ts, process, cpu_ms, memory_usage, machine, in_full, hour)
		VALUES ($1, $2, 5000, $3, $4, true, 0)`, at, o.processes[machine], memory, o.machines[machine])
}

// rollUp computes the rollups of the hours that are over, as an earlier version did.
func (o *oldDatabase) rollUp() {
	o.t.Helper()
	if o.db.Detection.Profile == backend.Timescale {
		for _, relation := range oldRollups {
			o.execute(`CALL refresh_continuous_aggregate('` + relation + `',
				NULL, date_bin('1 hour', now(), '2000-01-01 00:00:00+00'))`)
		}
		return
	}
	hour := time.Now().UTC().Truncate(time.Hour)
	for _, one := range []struct{ table, width, source string }{
		{"machine_1m_done", "1 hour", "machine_buckets(machine, bucket, bucket + interval '1 hour', '1 minute')"},
		{"machine_1h_done", "1 hour", "machine_buckets(machine, bucket, bucket + interval '1 hour', '1 hour')"},
		{"process_1h_done", "1 hour", "process_hour(machine, bucket)"},
		{"machine_3h_done", "3 hours", "machine_merge(machine, bucket, '3 hours')"},
		{"process_3h_done", "3 hours", "process_merge(machine, bucket, '3 hours')"},
		{"machine_1d_done", "24 hours", "machine_merge(machine, bucket, '24 hours')"},
		{"process_1d_done", "24 hours", "process_merge(machine, bucket, '24 hours')"},
	} {
		buckets := fmt.Sprintf(`(SELECT DISTINCT machine, date_bin('%s', ts, '2000-01-01 00:00:00+00') AS bucket
			FROM snapshots) u`, one.width)
		o.execute(fmt.Sprintf(`INSERT INTO %s SELECT r.* FROM %s CROSS JOIN LATERAL %s r
			WHERE u.bucket <= $1::timestamptz - interval '%s'`, one.table, buckets, one.source, one.width), hour)
		o.execute(fmt.Sprintf(`INSERT INTO rollup_marks (machine, bucket, level, claimed)
			SELECT machine, bucket, extract(epoch FROM interval '%[2]s') / 3600, false FROM %[1]s
			WHERE u.bucket > $1::timestamptz - interval '%[2]s' ON CONFLICT DO NOTHING`, buckets, one.width), hour)
	}
}

// drop drops the partitions or chunks that end at or before a time.
func (o *oldDatabase) drop(before time.Time) {
	o.t.Helper()
	for _, relation := range oldSeries {
		if o.db.Detection.Profile == backend.Timescale {
			o.execute(`SELECT drop_chunks($1::text::regclass, older_than => $2::timestamptz)`, relation, before)
			continue
		}
		for day := before.AddDate(0, 0, -30); day.Before(before); day = day.AddDate(0, 0, 1) {
			o.execute(`DROP TABLE IF EXISTS ` + relation + `_` + day.Format("20060102"))
		}
	}
}

// upgrade migrates the database to the latest version and returns its rollups before.
func (o *oldDatabase) upgrade() map[rollupRow]string {
	o.t.Helper()
	before := readBuckets(o.t, o.conn)
	if _, err := store.Migrate(o.t.Context(), o.db.URL, o.db.Detection.Profile, storetest.Logger()); err != nil {
		o.t.Fatal(err)
	}
	return before
}

// maintain does two rounds of maintenance, when all refreshes are due.
func (o *oldDatabase) maintain() *store.Store {
	o.t.Helper()
	now := time.Now()
	s := o.db.Open(o.t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	for range 2 {
		now = now.Add(2 * time.Hour)
		maintain(o.t, s)
		runAllJobs(o.t, o.db)
	}
	return s
}

// totals returns the sums of the samples of machines and of the CPU time of processes in each rollup.
func (o *oldDatabase) totals() map[string]int64 {
	o.t.Helper()
	sums := make(map[string]int64)
	for _, relation := range oldRollups {
		column := "samples"
		if strings.HasPrefix(relation, "process") {
			column = "cpu_ms"
		}
		var sum int64
		query := `SELECT coalesce(sum(` + column + `), 0)::bigint FROM ` + relation
		if err := o.conn.QueryRow(o.t.Context(), query).Scan(&sum); err != nil {
			o.t.Fatal(err)
		}
		sums[relation] = sum
	}
	return sums
}

func (o *oldDatabase) compareTotals(want map[string]int64) {
	o.t.Helper()
	for relation, got := range o.totals() {
		if got != want[relation] {
			o.t.Errorf("the total of %s is %d, want %d", relation, got, want[relation])
		}
	}
}

// After an upgrade, times without data do not count as dropped: everything stays readable, and late data is accepted.
func TestUpgradeWithHoles(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		o := newOldDatabase(t, db, 7)
		if db.Detection.Profile == backend.Timescale {
			for _, relation := range oldSeries {
				o.execute(`SELECT set_chunk_time_interval($1::text::regclass, interval '12 hours')`, relation)
			}
		}
		recent := storetest.Recent().Std().UTC()
		first := backend.StartOfDay(recent).Add(-7*day + 61*time.Second)
		// Off for two days, and since yesterday evening until an hour ago.
		for at := first; at.Before(first.Add(7*day - 3*time.Hour)); at = at.Add(3 * time.Hour) {
			if at.Before(first.Add(2*day)) || !at.Before(first.Add(4*day)) {
				o.insert(0, at, time.Minute, 12.5, 1_000_000)
			}
		}
		o.insert(0, recent, time.Minute, 12.5, 1_000_000)
		o.rollUp()
		if db.Detection.Profile == backend.Postgres {
			for _, relation := range oldSeries {
				for age := 5; age >= 4; age-- {
					off := backend.StartOfDay(recent).AddDate(0, 0, -age)
					o.execute(`DROP TABLE ` + relation + `_` + off.Format("20060102"))
				}
			}
		}
		before := o.upgrade()
		compareBuckets(t, before, readBuckets(t, o.conn))
		s := o.maintain()
		compareBuckets(t, before, readBuckets(t, o.conn))
		if horizon := s.Horizon().Std(); horizon.After(first) {
			t.Errorf("nothing was dropped since %s, but the horizon is %s", first, horizon)
		}
		state, err := s.At(t.Context(), "m0", snapshot.TimeOf(first), true)
		if err != nil || len(state.Processes) != 1 || state.Processes[0].CPUTime.Milliseconds() != 5000 {
			t.Errorf("the first snapshot is %v (%v)", state, err)
		}
		want := o.totals()
		late := snapshottest.NewMachine(1, 1).Series(snapshot.TimeOf(first.Add(3*day)), 1, time.Second, 1)
		micros := snapshot.CPUTime(2534)
		late.Snapshots[0].Processes[0].CPUTime = &micros
		storetest.Write(t, s, "m1", late.Snapshots...)
		var earlier, added, all int
		if err := o.conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE cpu_ms = 5000 AND cpu_us = 5000000),
				count(*) FILTER (WHERE cpu_ms = 2.534 AND cpu_us = 2534), count(*) FROM history.process_samples`).
			Scan(&earlier, &added, &all); err != nil || added != 1 || earlier+added != all {
			t.Errorf("of %d samples, %d have 5 s and %d have 2.534 ms of CPU (%v)", all, earlier, added, err)
		}
		maintain(t, s)
		runAllJobs(t, db)
		for relation, got := range o.totals() {
			if strings.HasPrefix(relation, "machine") && got != want[relation]+1 {
				t.Errorf("%s has %d samples with late data, want %d", relation, got, want[relation]+1)
			}
		}
	})
}

// Rollups are readable after an upgrade, also if all the snapshots that they were computed from were dropped.
func TestUpgradeWithoutSnapshots(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		o := newOldDatabase(t, db, 7)
		today := backend.StartOfDay(storetest.Recent().Std())
		for at := today.Add(-7*day + time.Minute); at.Before(today.Add(-3 * day)); at = at.Add(6 * time.Hour) {
			o.insert(0, at, time.Minute, 12.5, 1_000_000)
		}
		o.rollUp()
		o.drop(today)
		before := o.upgrade()
		compareBuckets(t, before, readBuckets(t, o.conn))
		s := o.maintain()
		compareBuckets(t, before, readBuckets(t, o.conn))
		if horizon := s.Horizon().Std(); horizon.After(today.Add(-3 * day)) {
			t.Errorf("the horizon is %s, want %s at the latest", horizon, today.Add(-3*day))
		}
		live := snapshottest.NewMachine(1, 1).Series(storetest.Recent(), 1, time.Second, 1)
		storetest.Write(t, s, "m1", live.Snapshots...)
		maintain(t, s)
		runAllJobs(t, db)
		compareBuckets(t, before, readBuckets(t, o.conn))
	})
}

// Days that an earlier version has dropped keep their rollups, although late data has made the partition or chunk of
// such a day again. The snapshot at the first instant after them now belongs to the last dropped day, and is added to
// its buckets.
func TestUpgradeAfterDrops(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		o := newOldDatabase(t, db, 6)
		recent := storetest.Recent().Std().UTC()
		kept := backend.StartOfDay(recent)
		for at := kept.Add(-6*day + 30*time.Minute); at.Before(kept); at = at.Add(time.Hour) {
			o.insert(0, at, 30*time.Minute, 12.5, 1_000_000)
		}
		o.insert(0, kept, 10*time.Minute, 50, 2_000_000)
		o.insert(1, kept, 10*time.Minute, 50, 2_000_000)
		o.insert(0, kept.Add(30*time.Second), 30*time.Second, 50, 2_000_000)
		o.insert(0, recent, 10*time.Minute, 50, 2_000_000)
		o.rollUp()
		o.drop(kept)
		want := o.totals()
		late := kept.Add(-3*day + 10*time.Hour)
		if db.Detection.Profile == backend.Postgres {
			o.createPartitions(backend.StartOfDay(late))
		}
		o.insert(0, late, time.Minute, 99, 3_000_000)
		o.insert(0, late.Add(2*time.Hour), time.Minute, 99, 3_000_000)
		before := o.upgrade()
		for row := range before {
			if !row.bucket.Before(kept) || row.bucket.Equal(kept.Add(-rollupWidth(row.relation))) {
				delete(before, row)
			}
		}
		compareBuckets(t, before, readBuckets(t, o.conn))
		if db.Detection.Profile == backend.Postgres { // as if the earlier version had not yet computed the late data
			o.execute(`INSERT INTO rollup_marks (machine, bucket, level, claimed) VALUES ($1, $2, 1, false)`,
				o.machines[0], late)
		}
		s := o.maintain()
		compareBuckets(t, before, readBuckets(t, o.conn))
		o.compareTotals(want)
		if horizon := s.Horizon().Std(); horizon.Before(kept) || horizon.After(kept.Add(time.Second)) {
			t.Errorf("the horizon is %s, want %s", horizon, kept)
		}
		for _, relation := range oldRollups {
			o.checkLastBucket(relation, kept)
		}
	})
}

// checkLastBucket checks the bucket that ends at the end of what was dropped. It had a snapshot of the first machine in
// each hour, 12.5 % CPU and 1 MB in 30 minutes each. A snapshot of both machines was added, 50 % CPU and 2 MB in 10
// minutes.
func (o *oldDatabase) checkLastBucket(relation string, end time.Time) {
	o.t.Helper()
	width := rollupWidth(relation)
	bucket, old := end.Add(-width), int64(width/time.Hour) // there was no snapshot in the last minute
	if strings.HasPrefix(relation, "process") {
		var cpu int64
		var memory float64
		if err := o.conn.QueryRow(o.t.Context(), `SELECT cpu_ms, memory_avg FROM `+relation+`
			WHERE machine = $1 AND bucket = $2`, o.machines[0], bucket).Scan(&cpu, &memory); err != nil {
			o.t.Fatalf("%s: %v", relation, err)
		}
		mean := float64(1_000_000*old+2_000_000) / float64(old+1)
		if cpu != 5000*(old+1) || math.Abs(memory-mean) > 1 {
			o.t.Errorf("%s has %d ms and %v bytes, want %d and %v", relation, cpu, memory, 5000*(old+1), mean)
		}
		return
	}
	for i, old := range []int64{old, 0} {
		var samples, interval, bytes, processes int64
		var cpu, load float64
		if err := o.conn.QueryRow(o.t.Context(), `SELECT samples, interval_ms, read_bytes, process_count_sum,
				cpu_usage_avg, load1_avg FROM `+relation+` WHERE machine = $1 AND bucket = $2`, o.machines[i], bucket).
			Scan(&samples, &interval, &bytes, &processes, &cpu, &load); err != nil {
			o.t.Fatalf("%s of machine %d: %v", relation, i, err)
		}
		usage := (12.5*30*float64(old) + 50*10) / float64(30*old+10)
		if samples != old+1 || interval != (30*old+10)*60_000 || bytes != 1000*(old+1) || processes != 3*(old+1) ||
			math.Abs(cpu-usage) > 0.001 || load != 1.5 {
			o.t.Errorf("%s of machine %d has %d samples of %d ms with %v %% CPU, load %v, %d bytes, %d processes",
				relation, i, samples, interval, cpu, load, bytes, processes)
		}
	}
}

// rollupWidth returns the width of the buckets of a rollup.
func rollupWidth(relation string) time.Duration {
	widths := map[string]time.Duration{"1m": time.Minute, "1h": time.Hour, "3h": 3 * time.Hour, "1d": day}
	return widths[relation[len(relation)-2:]]
}
