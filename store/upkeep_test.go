package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func migrate(t *testing.T, url string) error {
	t.Helper()
	_, err := store.Migrate(t.Context(), url, "auto", storetest.Logger())
	return err
}

func TestMigrationsUpAndDown(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	conn := storetest.Connect(t, url)
	relations := func() (list string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(relname || ':' || relkind::text, ' ' ORDER BY relname), '') FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'`).Scan(&list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	step("up", migrate(t, url))
	full := relations()
	for _, want := range []string{"snapshots:p", "process_samples:p", "disk_samples:p", "net_samples:p", "machines:r",
		"processes:r"} {
		if !strings.Contains(full, want) {
			t.Errorf("%s is missing in %s", want, full)
		}
	}
	step("up again", migrate(t, url))
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: url, Retention: 24 * time.Hour})
	series := snapshottest.NewMachine(1, 5).Series(storetest.Recent(), 4, time.Second, 2)
	storetest.Write(t, s, "m", series.Snapshots...)

	step("down to plain tables", store.MigrateTo(t.Context(), url, 2, storetest.Logger()))
	if plain := relations(); strings.Contains(plain, ":p") {
		t.Errorf("still partitioned: %s", plain)
	}
	var rows int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM snapshots`).Scan(&rows); err != nil || rows != 4 {
		t.Errorf("%d snapshots after migrating down, want 4 (%v)", rows, err)
	}
	var cpuMS, want int64
	for _, list := range series.Expected {
		for _, p := range list {
			if p.CPUTime != nil {
				want += int64(math.Round(p.CPUTime.Milliseconds()))
			}
		}
	}
	if err := conn.QueryRow(t.Context(), `SELECT sum(cpu_ms)::bigint FROM process_samples`).Scan(&cpuMS); err != nil ||
		cpuMS != want || want == 0 {
		t.Errorf("%d ms of CPU after migrating down, want %d (%v)", cpuMS, want, err)
	}
	step("down", store.MigrateDown(t.Context(), url, storetest.Logger()))
	if left := relations(); left != "" {
		t.Errorf("left over: %s", left)
	}
	step("up once more", migrate(t, url))
	if again := relations(); again != full {
		t.Errorf("got %s, want %s", again, full)
	}
	if status, _, err := store.SchemaStatus(t.Context(), url); status.Version != 29 || status.Dirty || err != nil {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestOpenNeedsTheSchema(t *testing.T) {
	t.Parallel()
	empty := storetest.EmptyURL(t)
	_, err := store.Open(t.Context(), store.Config{DatabaseURL: empty}, storetest.Logger(), newRegistry())
	if !errors.Is(err, store.ErrNoSchema) {
		t.Fatalf("opening an empty database returned %v, want ErrNoSchema", err)
	}
	if _, _, err := store.OpenAccounts(t.Context(), empty); !errors.Is(err, store.ErrNoSchema) {
		t.Fatalf("opening the accounts of an empty database returned %v, want ErrNoSchema", err)
	}
	_, closeAccounts, err := store.OpenAccounts(t.Context(), storetest.URL(t))
	if err != nil {
		t.Fatalf("opening the accounts of a migrated database: %v", err)
	}
	closeAccounts()
	_, err = store.Open(
		t.Context(),
		store.Config{DatabaseURL: "postgres://u:s3cret@[bad/x"},
		storetest.Logger(),
		newRegistry(),
	)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Fatalf("an invalid URL returned %v", err)
	}
}

func TestPartitionsAndRetention(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	var clock atomic.Int64
	start := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	clock.Store(start.Unix())
	s := storetest.OpenConfig(
		t,
		store.Config{
			DatabaseURL: url,
			Retention:   48 * time.Hour,
			Now:         func() time.Time { return time.Unix(clock.Load(), 0) },
		},
	)
	keepDays(t, s, 2)
	conn := storetest.Connect(t, url)
	partitions := func() (list string) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(right(inhrelid::regclass::text, 8), ' ' ORDER BY inhrelid::regclass::text), '')
			FROM pg_inherits WHERE inhparent = 'process_samples'::regclass`).Scan(&list); err != nil {
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
	if got := partitions(); got != "20260510 20260511 20260512 20260513" {
		t.Fatalf("created in advance: %s", got)
	}
	series := snapshottest.NewMachine(1, 5).
		Series(snapshot.TimeOf(start.Add(-36*time.Hour)), 4, time.Second, 4)
		// late data, for a day without a partition
	storetest.Write(t, s, "m", series.Snapshots...)
	if got := partitions(); !strings.HasPrefix(got, "20260509 20260510") {
		t.Fatalf("created for late data: %s", got)
	}

	clock.Store(start.Add(36 * time.Hour).Unix()) // midnight of the 12th: the 9th ends exactly at the horizon
	maintain()
	if got := partitions(); !strings.HasPrefix(got, "20260509") {
		t.Fatalf("dropped although changes within retention may refer to it: %s", got)
	}
	clock.Store(start.Add(36*time.Hour + snapshot.MaxRunDuration).Unix())
	maintain()
	if got := partitions(); !strings.HasPrefix(got, "20260510") {
		t.Fatalf("kept after it expired: %s", got)
	}
	var processes int
	clock.Store(start.Add(5 * 24 * time.Hour).Unix())
	maintain()
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM processes`).Scan(&processes); err != nil ||
		processes != 0 {
		t.Fatalf("%d processes left without samples (%v)", processes, err)
	}
	// The writer's cache must not contain them any more.
	again := snapshottest.NewMachine(1, 5).Series(snapshot.TimeOf(start.Add(5*24*time.Hour)), 2, time.Second, 2)
	storetest.Write(t, s, "m", again.Snapshots...)
	state, err := s.At(t.Context(), "m", again.Snapshots[1].Timestamp, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := snapshottest.Diff(state.Processes, again.Expected[1]); diff != "" {
		t.Error(diff)
	}
}

// keepDays sets the retention of everything, including rollups.
func keepDays(t *testing.T, s *store.Store, days int) {
	t.Helper()
	setRetention(t, s, backend.Retention{RawDays: days, MinuteDays: days, HourDays: days, ThreeHoursDays: days,
		DayDays: days})
}

// Dropping a partition does not disturb a query that is reading it, and does not block new ones. The drop does not
// wait for the query.
func TestDropDoesNotBlockReaders(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	now := time.Now()
	s := storetest.OpenConfig(
		t, store.Config{DatabaseURL: url, Retention: 30 * 24 * time.Hour, Now: func() time.Time { return now }},
	)
	storetest.Write(
		t,
		s,
		"m",
		snapshottest.NewMachine(1, 50).
			Series(storetest.Recent().Add(-25*24*time.Hour), 20, time.Second, 1).
			Snapshots...)
	storetest.Write(t, s, "m", snapshottest.NewMachine(1, 5).Series(storetest.Recent(), 2, time.Second, 2).Snapshots...)

	reader := storetest.Connect(t, url)
	tx, err := reader.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `DECLARE c CURSOR FOR SELECT * FROM process_samples ORDER BY ts`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `FETCH 10 FROM c`); err != nil {
		t.Fatal(err)
	}
	now = now.Add(20 * 24 * time.Hour)
	useWhileMaintaining(t, s, snapshot.TimeOf(now), snapshot.TimeOf(now))
	if tag, err := tx.Exec(t.Context(), `FETCH ALL FROM c`); err != nil || tag.RowsAffected() < 900 {
		t.Errorf("the old reader got %d rows, %v", tag.RowsAffected(), err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The next round drops the partition.
	conn := storetest.Connect(t, url)
	testwait.Until(t, "the partition is dropped", func() (gone bool) {
		if err := s.MaintainOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), `SELECT to_regclass('process_samples_' || to_char($1::timestamptz, 'YYYYMMDD')) IS NULL`,
			storetest.Recent().Add(-25*24*time.Hour).Std()).Scan(&gone); err != nil {
			t.Fatal(err)
		}
		return gone
	})
}

// useWhileMaintaining does a round of maintenance. Until it ends, the newest snapshot of the machine m is read, and
// another machine posts live snapshots.
func useWhileMaintaining(t *testing.T, s *store.Store, at, now snapshot.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // ends the test if something waits for its reader
	defer cancel()
	maintained := make(chan error, 1)
	go func() { maintained <- s.MaintainOnce(ctx) }()
	for {
		select {
		case err := <-maintained:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if _, err := s.At(ctx, "m", at, true); err != nil {
				t.Fatal(err)
			}
			now++
			if err := writeOne(ctx, s, "live", lateSnapshot(now.Std())); err != nil {
				t.Fatalf("live post: %v", err)
			}
		}
	}
}

func TestDeleteRemovesEverything(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, testDeleteRemovesEverything)
}

func testDeleteRemovesEverything(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	for _, machineID := range []string{"gone", "kept"} {
		storetest.Write(
			t,
			s,
			machineID,
			snapshottest.NewMachine(1, 20).Series(storetest.Recent(), 10, time.Second, 5).Snapshots...)
		storetest.Write(
			t,
			s,
			machineID,
			snapshottest.NewMachine(1, 20).
				Series(storetest.Recent().Add(-5*time.Hour), 10, time.Second, 5).
				Snapshots...)
	}
	if err := s.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := storetest.Connect(t, db.URL)
	for _, relation := range []string{"snapshots", "process_samples", "disk_samples", "net_samples", "processes"} {
		var machines int
		if err := conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(DISTINCT machine) FROM %s`, relation)).Scan(&machines); err != nil ||
			machines != 1 {
			t.Errorf("%s holds %d machines, want only the kept one (%v)", relation, machines, err)
		}
	}
	if err := s.Delete(t.Context(), "gone"); err == nil {
		t.Error("no error for deleting a machine twice")
	}
	// Its agent is still running: the machine is created again, without its history.
	ack := storetest.Write(
		t,
		s,
		"gone",
		snapshottest.NewMachine(1, 20).Series(storetest.Recent(), 10, time.Second, 5).Snapshots...)
	if ack.Stored != 10 {
		t.Errorf("%+v", ack)
	}
}

// waitFor waits until a condition of the database is true.
func waitFor(t *testing.T, url, condition string) {
	t.Helper()
	conn := storetest.Connect(t, url)
	testwait.Until(t, condition, func() bool {
		var holds bool
		if err := conn.QueryRow(t.Context(), condition).Scan(&holds); err != nil {
			t.Fatalf("%s: %v", condition, err)
		}
		return holds
	})
}

// Retention does not delete the row of a process that a writer is about to use again, for a machine that was
// silent for longer than the retention.
func TestRetentionWaitsForTheWriter(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	now := time.Now()
	s := storetest.OpenConfig(
		t, store.Config{DatabaseURL: url, Retention: 48 * time.Hour, Now: func() time.Time { return now }},
	)
	keepDays(t, s, 2)
	old := snapshottest.NewMachine(1, 20).Series(storetest.Recent(), 1, time.Second, 1)
	storetest.Write(t, s, "m", old.Snapshots...)
	// The samples are dropped first, and the processes a day later.
	now = storetest.Recent().Std().Truncate(24 * time.Hour).Add(24*time.Hour + 48*time.Hour + time.Hour)
	if err := s.MaintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(24 * time.Hour)
	back := old.Snapshots[0]
	back.Timestamp = snapshot.TimeOf(now)
	// This lock stops the writer between its look-up and its commit.
	holder := storetest.Connect(t, url)
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE snapshots_`+now.Format("20060102")+` IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		written <- s.Write(context.WithoutCancel(t.Context()), []*snapshot.Batch{{MachineID: "m",
			Snapshots: []snapshot.Snapshot{back}}})[0].Err
	}()
	waitFor(
		t,
		url,
		`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%INSERT INTO snapshots%' AND wait_event_type = 'Lock' AND datname = current_database())`,
	)
	second := storetest.OpenConfig(
		t, store.Config{DatabaseURL: url, Retention: 48 * time.Hour, Now: func() time.Time { return now }},
	)
	purged := make(chan error, 1)
	go func() { purged <- second.MaintainOnce(context.WithoutCancel(t.Context())) }()
	waitFor(
		t,
		url,
		`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%DELETE FROM processes%' AND wait_event_type = 'Lock' AND datname = current_database())`,
	)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err := <-purged; err != nil {
		t.Fatal(err)
	}
	state, err := s.At(t.Context(), "m", back.Timestamp, true)
	if err != nil {
		t.Fatal(err)
	}
	if diff := snapshottest.Diff(state.Processes, old.Expected[0]); diff != "" {
		t.Error(diff)
	}
}

// Migrating a database of the version before rollups sets the new columns of its rows, and the rollups include
// them.
func TestUpgradeFromBeforeRollups(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyURL(t)
	if err := store.MigrateTo(t.Context(), url, 3, storetest.Logger()); err != nil {
		t.Fatal(err)
	}
	conn := storetest.Connect(t, url)
	at := storetest.Recent().Std().UTC()
	for _, statement := range []string{
		`CREATE TABLE snapshots_x PARTITION OF snapshots DEFAULT`, `CREATE TABLE process_samples_x PARTITION OF process_samples DEFAULT`,
		`CREATE TABLE disk_samples_x PARTITION OF disk_samples DEFAULT`, `CREATE TABLE net_samples_x PARTITION OF net_samples DEFAULT`,
		`INSERT INTO machines (machine_id, registered_at, last_seen) VALUES ('m', now(), now())`,
		`INSERT INTO processes (machine, pid, ppid, identity, last_day, name, command_line, user_name) VALUES (1, 7, 1, 1, current_date, 'old', '', '')`,
		`INSERT INTO snapshots (machine, ts, full_ts, interval_ms, process_count) SELECT 1, $1::timestamptz + i * interval '5 s', $1, 5000, 1 FROM generate_series(0, 1) i`,
		`INSERT INTO process_samples (machine, ts, process, cpu_ms, memory_usage) SELECT 1, $1::timestamptz + i * interval '5 s', 1, 10, 100 + i FROM generate_series(0, 1) i`,
		`INSERT INTO net_samples (machine, ts, name, received_bytes, sent_bytes) VALUES (1, $1, 'lo', 1000, 1000), (1, $1, 'eth0', 7, 8), (1, $1, 'eth1', 1, 1)`,
	} {
		var args []any
		if strings.Contains(statement, "$1") {
			args = []any{at}
		}
		if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := migrate(t, url); err != nil {
		t.Fatal(err)
	}
	var hours, full, cpu, received int64
	var memory float64
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM process_samples WHERE hour = $1), (SELECT count(*) FROM process_samples WHERE in_full),
		(SELECT sum(cpu_ms) FROM process_1d), (SELECT memory_avg FROM process_1h), (SELECT received_bytes FROM machine_1h)`, at.Unix()/3600).
		Scan(&hours, &full, &cpu, &memory, &received); err != nil || hours != 2 || full != 1 ||
		cpu != 20 ||
		memory != 100 ||
		received != 8 {
		t.Errorf(
			"%d of the hour, %d in full, %d ms, %v bytes, %d received, %v", hours, full, cpu, memory, received, err,
		)
	}
}
