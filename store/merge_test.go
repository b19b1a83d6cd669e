package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// mergeTest writes snapshots with random short-lived processes, and merges them in the postgres profile.
type mergeTest struct {
	*testing.T
	s      *store.Store
	conn   *pgx.Conn
	merge  func() error
	random *rand.Rand
	pid    int32
}

func newMergeTest(t *testing.T, now time.Time) *mergeTest {
	db := storetest.Postgres(t)
	s := db.Open(t, func(cfg *store.Config) { cfg.Now = func() time.Time { return now } })
	pool, err := pgxpool.New(t.Context(), db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := backend.New(db.Detection.Profile, pool, storetest.Logger(), now)
	return &mergeTest{
		T: t, s: s, conn: storetest.Connect(t, db.URL), random: rand.New(rand.NewPCG(1, 2)),
		merge: func() error { return b.Compress(t.Context(), now) },
	}
}

// write stores a snapshot with short-lived processes.
func (t *mergeTest) write(machineID string, at snapshot.Time, processes int) {
	t.Helper()
	one := snapshot.Snapshot{Timestamp: at, Kind: snapshot.KindFull, IntervalMS: 5000}
	maybe := func(v int64) *int64 {
		if t.random.IntN(3) == 0 {
			return nil
		}
		return &v
	}
	allKnown := t.random.IntN(2) == 0
	for range processes {
		t.pid++
		p := snapshot.ProcessSample{
			PID: t.pid, StartedAt: at - 1 - snapshot.Time(t.random.IntN(4900)), PPID: new(t.random.Int32N(9)),
			Name: fmt.Sprintf("sh%d", t.random.IntN(3)), CommandLine: fmt.Sprintf("sh /tmp/run%06d", t.random.IntN(9)),
			User: "root", State: snapshot.StateEnded,
		}
		if allKnown || t.random.IntN(2) == 0 {
			p.CPUTime = (*snapshot.CPUTime)(maybe(t.random.Int64N(1e6)))
			p.MemoryUsage, p.ReadBytes, p.WriteBytes = maybe(t.random.Int64N(1e9)), maybe(5), maybe(6)
			p.ExitStatus = snapshot.ExitStatusOf(uint32(t.random.IntN(3)) << 8)
		}
		one.Processes = append(one.Processes, p)
	}
	storetest.Write(t.T, t.s, machineID, one)
}

// processes returns the rows of the view without the columns that show how they are stored. It checks those.
func (t *mergeTest) processes() []string {
	t.Helper()
	rows, err := t.conn.Query(t.Context(), `SELECT row(machine, ts, command, owner, pid, ppid, started_at,
			elapsed_ms, cpu_us, memory_max, read_bytes, write_bytes, exit_code, exit_signal, vars)::text
		FROM short_lived
		WHERE ts BETWEEN batch_first_ts AND batch_ts
			AND batch_first_ts > date_bin('1 hour', ts - interval '1 ms', '2000-01-01 00:00:00+00')
			AND batch_ts <= date_bin('1 hour', ts - interval '1 ms', '2000-01-01 00:00:00+00') + interval '1 hour'
			AND (cpu_us IS NULL OR cpu_us <= cpu_us_bound)
			AND (memory_max IS NULL OR memory_max / 4096 <= memory_pages_bound)`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// batches returns how many rows the table has.
func (t *mergeTest) batches(machineID string) (n int) {
	t.Helper()
	if err := t.conn.QueryRow(t.Context(), `SELECT count(*) FROM short_lived_batches
		WHERE machine = (SELECT id FROM machines WHERE machine_id = $1)`, machineID).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantMerged merges, and checks that all processes are as before.
func (t *mergeTest) wantMerged(machineID string, batches int) {
	t.Helper()
	before := t.processes()
	if err := t.merge(); err != nil {
		t.Fatal(err)
	}
	if after := t.processes(); !slices.Equal(before, after) {
		t.Errorf("%d processes before, %d after, and they are not the same", len(before), len(after))
	}
	if n := t.batches(machineID); n != batches {
		t.Errorf("%s has %d rows, want %d", machineID, n, batches)
	}
}

// In the postgres profile, the short-lived processes of an hour are merged into a row. Late ones are merged again.
func TestShortLivedProcessesOfAnHourAreMerged(t *testing.T) {
	t.Parallel()
	day := storetest.Recent().Std().UTC().Truncate(24 * time.Hour)
	hour := snapshot.TimeOf(day.Add(-2 * time.Hour)) // the last snapshot of the second hour is in the next partition
	m := newMergeTest(t, day.Add(45*time.Minute))
	for i := range 120 {
		at := hour.Add(time.Duration(i+1) * time.Minute)
		m.write("quiet", at, 1+i%4)
		m.write("other", at, 1)
	}
	m.write("quiet", hour.Add(130*time.Minute), 2) // its hour is not over
	m.write("quiet", hour.Add(131*time.Minute), 2)
	m.wantMerged("quiet", 2+2)
	m.wantMerged("other", 2)
	for i := range 10 { // late
		m.write("quiet", hour.Add(time.Duration(i*200+3)*time.Second), 3)
	}
	m.wantMerged("quiet", 2+2)
	m.wantMerged("quiet", 2+2)
	var lost int
	if err := m.conn.QueryRow(t.Context(), `SELECT count(*) FROM short_lived WHERE command <> ALL (commands)`).
		Scan(&lost); err != nil || lost != 0 {
		t.Errorf("the commands of %d processes are not among those of their rows, %v", lost, err)
	}
	// The size of the series counts processes, and not rows. The statistics of a session are written with a delay.
	want := int64(len(m.processes()))
	testwait.Until(t, "the number of processes", func() bool {
		if _, err := m.conn.Exec(t.Context(), `ANALYZE short_lived_batches`); err != nil {
			t.Fatal(err)
		}
		st, err := m.s.Storage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(st.Relations, func(size backend.RelationSize) bool {
			return size.Relation == backend.ShortLived && size.Rows == want
		})
	})
}

// An hour with more processes is merged into several rows. The rows of a burst stay as they are.
func TestManyShortLivedProcessesAreMerged(t *testing.T) {
	t.Parallel()
	hour := snapshot.TimeOf(storetest.Recent().Std().Truncate(time.Hour).Add(-2 * time.Hour))
	m := newMergeTest(t, hour.Std().Add(2*time.Hour))
	for i := range 30 {
		at := hour.Add(time.Duration(i+1) * 2 * time.Minute)
		m.write("many", at, 90) // 2,700 in an hour
		m.write("burst", at, 1)
		if i%10 == 0 {
			m.write("burst", at.Add(time.Minute), 1500)
		}
		m.write("busy", at, 250)
	}
	m.wantMerged("many", 3)
	m.wantMerged("many", 3)
	m.wantMerged("busy", 30)
	var largest int
	if err := m.conn.QueryRow(t.Context(), `SELECT max(processes) FROM short_lived_batches`).Scan(&largest); err != nil ||
		largest > 1500+1000 {
		t.Errorf("a row has %d processes, %v", largest, err)
	}
}

// The space of rows that were merged after the end of their day is returned.
func TestSpaceOfMergedRowsIsReturned(t *testing.T) {
	t.Parallel()
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	if time.Now().UTC().Hour() < 13 {
		day = day.AddDate(0, 0, -1) // the day must be over for 12 hours
	}
	m := newMergeTest(t, time.Now())
	for i := range 1500 {
		m.write("late", snapshot.TimeOf(day.Add(time.Duration(i+1)*40*time.Second)), 2)
	}
	size := func() (bytes int64) {
		t.Helper()
		if err := m.conn.QueryRow(t.Context(), `SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
			WHERE inhparent = 'short_lived_batches'::regclass`).Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	before := size()
	m.wantMerged("late", 17)
	if after := size(); after > before/2 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
}

// A machine that is deleted while its processes are merged has none afterwards.
func TestMachineIsDeletedWhileItIsMerged(t *testing.T) {
	t.Parallel()
	hour := snapshot.TimeOf(storetest.Recent().Std().Truncate(time.Hour).Add(-2 * time.Hour))
	m := newMergeTest(t, hour.Std().Add(2*time.Hour))
	m.write("kept", hour.Add(time.Minute), 1)
	for round := range 5 {
		machineID := fmt.Sprintf("deleted%d", round)
		for i := range 20 {
			m.write(machineID, hour.Add(time.Duration(i+1)*time.Minute), 20)
		}
		merged := make(chan error)
		go func() { merged <- m.merge() }()
		if err := m.s.Delete(t.Context(), machineID); err != nil {
			t.Fatal(err)
		}
		if err := <-merged; err != nil {
			t.Fatal(err)
		}
		maintain(t, m.s)
	}
	var left int
	if err := m.conn.QueryRow(t.Context(), `SELECT count(*) FROM short_lived_batches
		WHERE machine NOT IN (SELECT id FROM machines)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows of deleted machines are left, %v", left, err)
	}
}
