package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestRetentionIsASetting(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, func(c *store.Config) { c.Retention = 0 })
		standard := backend.DefaultRetention(db.Detection.Profile)
		if got := s.Retention(); got != standard {
			t.Errorf("%+v, want %+v", got, standard)
		}
		old := snapshot.TimeOf(time.Now().Add(-10 * 24 * time.Hour))
		storetest.Write(t, s, "old", snapshot.Snapshot{Timestamp: old, Kind: snapshot.KindFull})
		short, warnings := openWithFlag(t, db, 7)
		if got := short.Retention(); got != standard || !strings.Contains(warnings, "ignoring --retention") {
			t.Errorf("a server with a flag of its own keeps %+v and logged %q", got, warnings)
		}
		if err := short.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.At(t.Context(), "old", old, false); err != nil {
			t.Errorf("a server with a flag of its own dropped data: %v", err)
		}
		if _, warnings := openWithFlag(t, db, standard.RawDays); warnings != "" {
			t.Errorf("a flag with the stored value logged %q", warnings)
		}
		keep := backend.Retention{
			RawDays:        7,
			MinuteDays:     8,
			HourDays:       9,
			ThreeHoursDays: 10,
			DayDays:        11,
			ExitsDays:      6,
			BudgetBytes:    1 << 40,
		}
		if err := s.SetRetention(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		other := db.Open(
			t, func(c *store.Config) { c.Retention = 24 * time.Hour },
		) // another server, or this one after a restart
		if other.Retention() != keep {
			t.Errorf("another server keeps %+v, want %+v", other.Retention(), keep)
		}
		for field, change := range map[string]func(*backend.Retention){
			"raw_days":         func(r *backend.Retention) { r.RawDays = 0 },
			"minute_days":      func(r *backend.Retention) { r.MinuteDays = 6 },
			"hour_days":        func(r *backend.Retention) { r.HourDays = 7 },
			"three_hours_days": func(r *backend.Retention) { r.ThreeHoursDays = 8 },
			"day_days":         func(r *backend.Retention) { r.DayDays = 3651 },
			"exits_days":       func(r *backend.Retention) { r.ExitsDays = 8 },
			"budget_bytes":     func(r *backend.Retention) { r.BudgetBytes = -1 },
		} {
			wrong := keep
			change(&wrong)
			fault, ok := errors.AsType[*backend.RetentionError](s.SetRetention(t.Context(), wrong))
			if !ok || fault.Field != field {
				t.Errorf("%s: %v", field, fault)
			}
		}
		if s.Retention() != keep {
			t.Error("a rejected change took effect")
		}
		// A database of an earlier version has no retention. It gets the one of its first start.
		if _, err := storetest.Connect(t, db.URL).Exec(t.Context(), `DELETE FROM settings WHERE key = 'retention'`); err != nil {
			t.Fatal(err)
		}
		cfg := store.Config{DatabaseURL: db.URL, Detection: db.Detection, Retention: 3651 * 24 * time.Hour}
		if _, err := store.Open(t.Context(), cfg, storetest.Logger(), newRegistry()); err == nil {
			t.Error("a retention of 3651 days was stored")
		}
		first, warnings := openWithFlag(t, db, 20)
		second, _ := openWithFlag(t, db, 0)
		if want := standard.WithRaw(20 * 24 * time.Hour); first.Retention() != want || second.Retention() != want ||
			warnings != "" {
			t.Errorf("the first server keeps %+v and logged %q, a later one keeps %+v",
				first.Retention(), warnings, second.Retention())
		}
	})
}

// openWithFlag opens a store as a server with --retention does, and returns what it logged.
func openWithFlag(t *testing.T, db storetest.Database, days int) (*store.Store, string) {
	t.Helper()
	var log strings.Builder
	s, err := store.Open(
		t.Context(),
		store.Config{
			DatabaseURL: db.URL, Detection: db.Detection, Retention: time.Duration(days) * 24 * time.Hour,
		},
		slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), newRegistry(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, log.String()
}

// Only expired data is dropped, in both profiles.
func TestRetentionDropsEachLevel(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		for _, age := range []int{20, 10, 1} {
			storetest.Write(
				t,
				s,
				"m",
				snapshottest.NewMachine(uint64(age), 5).
					Series(storetest.Recent().Add(-time.Duration(age)*24*time.Hour), 6, time.Second, 3).
					Snapshots...)
		}
		storetest.RefreshAll(t, db, s)
		count := func(relation, column string) (n int) {
			t.Helper()
			if err := conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(DISTINCT date_bin('1 day', %s, '2000-01-01 00:00:00+00')) FROM %s`, column, relation)).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		setRetention(t, s, backend.Retention{RawDays: 5, MinuteDays: 15, HourDays: 300, ThreeHoursDays: 300,
			DayDays: 300})
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if raw, hours, days := count("process_samples", "ts"), count("process_1h", "bucket"),
			count("machine_1d", "bucket"); raw != 1 ||
			hours != 3 ||
			days != 3 {
			t.Errorf("%d days of samples, %d of hours, %d of days; want 1, 3, 3", raw, hours, days)
		}
		// Later rounds must not delete the rollups of dropped data.
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		runJobs(t, db, "policy_refresh_continuous_aggregate")
		if hours := count("process_1h", "bucket"); hours != 3 {
			t.Errorf("%d days of hours after a refresh, want 3", hours)
		}
		top, _, err := s.Top(
			t.Context(),
			query.UsageQuery{
				MachineID: "m",
				From:      snapshot.TimeOf(now).Add(-21 * 24 * time.Hour),
				To:        snapshot.TimeOf(now),
				Order:     query.ByMemory,
				Limit:     100,
			},
		)
		if err != nil || len(top) < 10 {
			t.Errorf("%d processes of 21 days, want those of three days (%v)", len(top), err)
		}
	})
}

// runJobs runs TimescaleDB's jobs of a kind, as its scheduler would. It leaves out the refresh of machine_1m, which
// takes several seconds per day of data, and which no other rollup in these tests depends on.
func runJobs(t *testing.T, db storetest.Database, kind string) {
	t.Helper()
	if db.Detection.Profile != backend.Timescale {
		return
	}
	conn := storetest.Connect(t, db.URL)
	rows, err := conn.Query(t.Context(), `SELECT job_id FROM timescaledb_information.jobs
		WHERE proc_name = $1 AND config->>'mat_hypertable_id' IS DISTINCT FROM
			(SELECT mat_hypertable_id::text FROM _timescaledb_catalog.continuous_agg WHERE user_view_name = 'machine_1m_cagg')`, kind)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil || len(jobs) == 0 {
		t.Fatalf("jobs %v, %v", jobs, err)
	}
	for _, job := range jobs {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CALL run_job(%d)`, job)); err != nil {
			t.Fatalf("job %d: %v", job, err)
		}
	}
}

// The oldest raw days are dropped while the database exceeds the budget. Their rollups are kept.
func TestDiskBudget(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		now := time.Now()
		s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
		conn := storetest.Connect(t, db.URL)
		for age := 3; age >= 0; age-- {
			storetest.Write(
				t,
				s,
				"m",
				snapshottest.NewMachine(uint64(age), 50).
					Series(storetest.Recent().Add(-time.Duration(age)*24*time.Hour), 20, time.Second, 1).
					Snapshots...)
		}
		storetest.RefreshAll(t, db, s)
		keep := s.Retention()
		keep.BudgetBytes = 1 // nothing fits
		if err := s.SetRetention(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second round finds no more to do
			if err := s.MaintainOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var oldest time.Time
		var hours int
		if err := conn.QueryRow(t.Context(), `SELECT min(ts) FROM process_samples`).Scan(&oldest); err != nil {
			t.Fatal(err)
		}
		// Today and yesterday must be kept. Where in a day the samples are depends on the time of the
		// test.
		kept, want := now.UTC().Add(-24*time.Hour).Truncate(24*time.Hour), storetest.Recent().Std()
		for !want.Add(-24 * time.Hour).Before(kept) {
			want = want.Add(-24 * time.Hour)
		}
		if !oldest.Equal(want) {
			t.Errorf("the oldest sample is of %s, want %s, which must be kept", oldest, want)
		}
		runJobs(t, db, "policy_refresh_continuous_aggregate")
		if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT bucket) FROM process_1h`).Scan(&hours); err != nil ||
			hours != 4 {
			t.Errorf("%d hours of rollups, want 4 (%v)", hours, err)
		}
	})
}

func TestTimescalePolicies(t *testing.T) {
	t.Parallel()
	url := storetest.TimescaleURL(t)
	db := storetest.Database{URL: url, Detection: store.Detection{Profile: backend.Timescale}}
	now := time.Now()
	s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	conn := storetest.Connect(t, url)
	for _, statement := range []string{ // the template has the policies
		`SELECT delete_job(job_id) FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_%' AND job_id >= 1000`,
		`DELETE FROM settings WHERE key = 'policies'`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET ALL', current_database()); END $$`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	policies := func() (list string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT string_agg(concat_ws(' ', job_id, proc_name, config->>'start_offset', schedule_interval), E'\n' ORDER BY job_id)
			FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_%' AND job_id >= 1000`).Scan(&list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	maintain := func() {
		t.Helper()
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	maintain()
	first := policies()
	// Only this server compresses and drops.
	for kind, want := range map[string]int{"policy_refresh_continuous_aggregate": 9, "policy_compression": 0,
		"policy_retention": 0} {
		if got := strings.Count(first, kind); got != want {
			t.Errorf("%d of %s, want %d", got, kind, want)
		}
	}
	maintain()
	if again := policies(); again != first {
		t.Errorf("unchanged policies were replaced:\n%s\n%s", first, again)
	}
	batch := func() (setting string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT coalesce((SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
			WHERE d.datname = current_database() AND s.setrole = 0), '')`).Scan(&setting); err != nil {
			t.Fatal(err)
		}
		return setting
	}
	var known bool
	if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.compression_batch_size_limit' AND max_val::int >= 4000)`).Scan(&known); err != nil {
		t.Fatal(err)
	}
	if got := batch(); known != strings.Contains(got, "timescaledb.compression_batch_size_limit=4000") {
		t.Errorf("batch size supported: %v; settings of the database: %q", known, got)
	}
	keep := s.Retention()
	keep.RawDays, keep.ExitsDays = 12, 7
	if err := s.SetRetention(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	maintain()
	// Late data is refreshed for the bucket and two hours longer than it is accepted.
	if got := strings.Count(policies(), fmt.Sprintf(" %d:00:00 ", 12*24+1+2)); got != 3 {
		t.Errorf("%d policies refresh 12 days and 3 hours, want 3:\n%s", got, policies())
	}
	if got, want := jobsOf(policies()), jobsOf(first); got != want {
		t.Errorf("the jobs %s were replaced by %s", want, got)
	}

	// No scheduler runs jobs in this database, so the server refreshes rollups and compresses old chunks.
	storetest.Write(
		t,
		s,
		"m",
		snapshottest.NewMachine(1, 5).Series(storetest.Recent().Add(-36*time.Hour), 6, time.Second, 3).Snapshots...)
	now = now.Add(4 * time.Hour)
	maintain()
	var made, compressed int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM timescaledb_information.chunks c JOIN timescaledb_information.continuous_aggregates a ON a.materialization_hypertable_name = c.hypertable_name),
		(SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'process_samples' AND is_compressed)`).Scan(&made, &compressed); err != nil ||
		made == 0 ||
		compressed != 1 {
		t.Errorf("%d chunks of rollups, %d compressed chunks (%v)", made, compressed, err)
	}
}

// jobsOf returns the ids of jobs.
func jobsOf(policies string) (ids string) {
	for line := range strings.Lines(policies) {
		id, _, _ := strings.Cut(line, " ")
		ids += id + " "
	}
	return ids
}

// Late data for days with compressed chunks and materialized rollups is readable at once, without duplicates,
// and is in the rollups after the next refresh.
func TestLateDataIntoCompressedChunks(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		day := storetest.Recent().Add(-72 * time.Hour)
		on := snapshottest.NewMachine(1, 20).Series(day, 120, 5*time.Second, 12)
		away := snapshottest.NewMachine(2, 20).Series(day, 120, 5*time.Second, 12)
		storetest.Write(t, s, "on", on.Snapshots...)
		storetest.Write(t, s, "away", away.Snapshots[60:]...)
		storetest.RefreshAll(t, db, s)
		if db.Detection.Profile == backend.Timescale {
			storetest.CompressAll(t, conn)
		}
		for range 2 { // the second time as duplicates
			storetest.Write(t, s, "away", away.Snapshots[:60]...)
			storetest.Write(t, s, "on", on.Snapshots...)
		}
		storetest.RefreshAll(t, db, s)
		for machineID, series := range map[string]snapshottest.Series{"on": on, "away": away} {
			for _, i := range []int{0, 13, 59, 60, 119} {
				state, err := s.At(t.Context(), machineID, series.Snapshots[i].Timestamp, true)
				if err != nil {
					t.Fatal(err)
				}
				if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
					t.Errorf("%s at %d: %s", machineID, i, diff)
				}
			}
			for relation, width := range processRollups {
				compareRollups(
					t, relation+" of "+machineID,
					readRollups(t, conn, relation, machineID), expectedRollups(series, width),
				)
			}
		}
	})
}
