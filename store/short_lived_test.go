package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// writeScripts writes a snapshot with short-lived processes on each of the past days.
func writeScripts(t *testing.T, s *store.Store, machineID string, days, processes int) {
	t.Helper()
	for age := days; age >= 0; age-- {
		at := storetest.Recent().Add(-time.Duration(age) * day)
		one := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000}
		random := rand.New(rand.NewPCG(uint64(age), 1))
		for i := range processes {
			one.Processes = append(one.Processes, snapshot.ProcessSample{
				PID: int32(100 + i), StartedAt: at - 1000, PPID: new(int32(1)), Name: fmt.Sprintf("sh%d", i%3),
				CommandLine: fmt.Sprintf("sh /tmp/run%06d", i), User: "root", Cgroup: "/cron.service",
				State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(1000 + i)), MemoryUsage: new(int64(4096 * i)),
				// Random amounts take space also if they are compressed.
				ReadBytes: new(random.Int64N(1 << 40)), WriteBytes: new(random.Int64N(1 << 40)),
			})
		}
		storetest.Write(t, s, machineID, one)
	}
}

// shortLivedDays returns how many days have short-lived processes.
func shortLivedDays(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT date_bin('1 day', ts, '2000-01-01 00:00:00+00'))
		FROM short_lived`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Short-lived processes have a retention of their own. Their sums, and samples of other processes, are kept. So are
// texts to which they still refer.
func TestRetentionOfShortLivedProcesses(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		before := pastDays(t, db, s, 6, "a", "b")
		writeScripts(t, s, "scripts", 6, 20)
		if n := shortLivedDays(t, conn); n != 7 {
			t.Fatalf("%d days of short-lived processes, want 7", n)
		}
		days := rawDays(t, conn)
		if _, err := conn.Exec(t.Context(), `INSERT INTO commands (machine, hash, last_day, has_vars, name, command_line)
			SELECT max(id), 1, now() - interval '10 days', false, 'old', 'old' FROM machines`); err != nil {
			t.Fatal(err)
		}
		keep := s.Retention()
		keep.ExitsDays = 2
		setRetention(t, s, keep)
		maintain(t, s)
		runAllJobs(t, db)
		if n := shortLivedDays(t, conn); n < 2 || n > 4 {
			t.Errorf("%d days of short-lived processes are left, want 3", n)
		}
		if n := rawDays(t, conn); n != days {
			t.Errorf("%d of %d days of samples are left", n, days)
		}
		compareBuckets(t, before, readBuckets(t, conn))
		var texts, dangling, sums int
		if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM commands WHERE name = 'old'),
			(SELECT count(*) FROM short_lived s WHERE NOT EXISTS (SELECT FROM commands WHERE id = s.command)
				OR NOT EXISTS (SELECT FROM owners WHERE id = s.owner)),
			(SELECT sum(processes) FROM short_lived_1d WHERE name LIKE 'sh_')`).Scan(&texts, &dangling, &sums); err != nil ||
			texts != 0 || dangling != 0 || sums != 7*20 {
			t.Errorf("%d unused texts are left, %d processes have none, the sums are of %d processes (%v)",
				texts, dangling, sums, err)
		}
		if dropped := s.Retention(); dropped.ExitsDays != 2 {
			t.Errorf("the retention is %+v", dropped)
		}
	})
}

// The disk budget drops days of short-lived processes first if they take more space than the samples.
func TestBudgetDropsWhatIsLarger(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		writeScripts(t, s, "scripts", 5, 45_000) // more space than the samples
		pastDays(t, db, s, 5, "a")
		st, err := s.Storage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		days := rawDays(t, conn)
		keep := s.Retention()
		keep.BudgetBytes = st.Bytes * 9 / 10
		setRetention(t, s, keep)
		maintain(t, s)
		if n := shortLivedDays(t, conn); n < 2 || n > 5 {
			t.Errorf("%d days of short-lived processes are left, want 2 to 5", n)
		}
		if n := rawDays(t, conn); n != days {
			t.Errorf("%d of %d days of samples are left", n, days)
		}
		keep.BudgetBytes = 1
		setRetention(t, s, keep)
		maintain(t, s)
		if raw, n := rawDays(t, conn), shortLivedDays(t, conn); raw > 3 || n < 1 || n > 3 {
			t.Errorf("%d days of samples and %d of short-lived processes are left, want the last two", raw, n)
		}
	})
}

// Deleting a machine deletes its short-lived processes, their sums and their texts, also where they are compressed.
func TestDeletionOfShortLivedProcesses(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		for _, machineID := range []string{"gone", "kept"} {
			writeScripts(t, s, machineID, 4, 50)
		}
		storetest.RefreshAll(t, db, s)
		if db.Detection.Profile == backend.Timescale {
			compressSums(t, conn)
		}
		if err := s.Delete(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			maintain(t, s)
		}
		for _, relation := range []string{
			"short_lived", "short_lived_1m", "short_lived_1h", "short_lived_1d", "commands", "owners",
		} {
			var machines int
			if err := conn.QueryRow(t.Context(), `SELECT count(DISTINCT machine) FROM `+relation).Scan(&machines); err != nil ||
				machines != 1 {
				t.Errorf("%s has rows of %d machines, want 1 (%v)", relation, machines, err)
			}
		}
	})
}

// compressSums compresses the sums of short-lived processes.
func compressSums(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, relation := range []string{"short_lived_minutes", "short_lived_1h_cagg", "short_lived_1d_cagg"} {
		tag, err := conn.Exec(t.Context(), `SELECT compress_chunk(c, true) FROM show_chunks('`+relation+`') c`)
		if err != nil || tag.RowsAffected() == 0 && relation == "short_lived_minutes" {
			t.Fatalf("compress %s: %d chunks, %v", relation, tag.RowsAffected(), err)
		}
	}
}

// TimescaleDB compresses short-lived processes an hour after the end of their chunk. Late ones are added to compressed
// chunks and sums.
func TestCompressionOfShortLivedProcesses(t *testing.T) {
	t.Parallel()
	db := storetest.Timescale(t)
	now := storetest.Recent().Std().Truncate(day).Add(36 * time.Hour)
	s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	conn := storetest.Connect(t, db.URL)
	writeScripts(t, s, "scripts", 1, 50)
	storetest.RefreshAll(t, db, s)
	var compressed, chunks int
	count := func() {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE is_compressed), count(*)
			FROM timescaledb_information.chunks WHERE hypertable_name = 'short_lived_rows'`).Scan(&compressed, &chunks); err != nil {
			t.Fatal(err)
		}
	}
	if count(); chunks != 2 || compressed != 2 {
		t.Errorf("%d of %d chunks are compressed, want 2", compressed, chunks)
	}
	compressSums(t, conn)
	writeScripts(t, s, "late", 1, 50)
	maintain(t, s)
	var rows, sums int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM short_lived),
		(SELECT sum(processes) FROM short_lived_1m)`).Scan(&rows, &sums); err != nil || rows != 200 || sums != 200 {
		t.Errorf("%d processes and sums of %d, want 200 (%v)", rows, sums, err)
	}
}
