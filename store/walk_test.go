package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// walkSteps is the number of random steps. SNAPWATCH_TEST_WALK changes the seed.
const walkSteps = 25

// walk is a random sequence of posts, changes of the retention, drops, refreshes and restarts, with a model of what
// the rollups must contain: every accepted snapshot, until the rollup's own retention ends.
type walk struct {
	db       storetest.Database
	s        *store.Store
	conn     *pgx.Conn
	random   *rand.Rand
	now      time.Time
	keep     backend.Retention
	accepted map[rollupRow]int  // how many snapshots are in a bucket
	expired  map[rollupRow]bool // buckets that the retention has allowed to drop
	seen     map[rollupRow]int  // the rollups after the previous step
	posted   map[string]bool
	did      []string
}

var walkMachines = []string{"a", "b"}

// Whatever happens, a bucket of a rollup that was once made only ever gains snapshots, and in the end it has all of
// them.
func TestRollupsSurviveARandomWalk(t *testing.T) {
	t.Parallel()
	seed := uint64(17)
	if text := os.Getenv("SNAPWATCH_TEST_WALK"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		w := &walk{db: db, random: rand.New(rand.NewPCG(seed, 0)),
			now:      time.Now().UTC().Add(-8 * day).Truncate(time.Hour),
			accepted: make(map[rollupRow]int), expired: make(map[rollupRow]bool), posted: make(map[string]bool)}
		w.conn = storetest.Connect(t, db.URL)
		if db.Detection.Profile == backend.Timescale {
			// Chunks of a day, so that they expire within the walk.
			if _, err := w.conn.Exec(t.Context(), `SELECT set_chunk_time_interval(format('%I.%I', materialization_hypertable_schema,
					materialization_hypertable_name)::regclass, interval '1 day')
				FROM timescaledb_information.continuous_aggregates`); err != nil {
				t.Fatal(err)
			}
		}
		w.restart(t)
		w.maintain(t)
		for age := 5; age > 0; age-- {
			w.post(t, "a", w.now.Add(-time.Duration(age)*day))
			w.post(t, "b", w.now.Add(-time.Duration(age)*day))
		}
		for range walkSteps {
			w.step(t)
			w.check(t)
			if t.Failed() {
				t.Fatalf("seed %d, after these steps:\n%s", seed, strings.Join(w.did, "\n"))
			}
		}
		w.settle(t)
		if t.Failed() {
			t.Fatalf("seed %d, at the end of these steps:\n%s", seed, strings.Join(w.did, "\n"))
		}
	})
}

func (w *walk) log(format string, args ...any) {
	w.did = append(w.did, w.now.Format(time.RFC3339)+" "+fmt.Sprintf(format, args...))
}

func (w *walk) step(t *testing.T) {
	t.Helper()
	machine := walkMachines[w.random.IntN(len(walkMachines))]
	switch w.random.IntN(10) {
	case 0, 1:
		w.post(t, machine, w.now.Add(-time.Duration(w.random.IntN(600))*time.Second))
	case 2, 3, 4:
		w.post(t, machine, w.now.Add(-time.Duration(w.random.IntN(int(6*day/time.Second)))*time.Second))
	case 5, 6:
		w.now = w.now.Add(time.Duration(1+w.random.IntN(9)) * time.Hour)
		w.log("time passes")
		w.maintain(t)
	case 7:
		w.setRetention(t)
		w.maintain(t)
	case 8:
		w.restart(t)
		w.maintain(t)
	case 9:
		w.log("TimescaleDB runs its jobs")
		runAllJobs(t, w.db)
	}
}

// post writes a snapshot if the server accepts its time.
func (w *walk) post(t *testing.T, machineID string, at time.Time) {
	t.Helper()
	switch w.random.IntN(4) {
	case 0: // at the end of a bucket
		at = at.Truncate(day)
	case 1:
		at = at.Truncate(time.Hour)
	default:
		at = at.Truncate(time.Minute).Add(17 * time.Second)
	}
	key := machineID + at.String()
	if at.After(w.now) || snapshot.TimeOf(at) < w.s.Horizon() || w.posted[key] {
		return
	}
	w.posted[key] = true
	w.log("machine %s posts a snapshot of %s", machineID, at.Format(time.RFC3339))
	used, memory, parent := snapshot.CPUTime(1000), int64(1<<20), int32(0)
	storetest.Write(t, w.s, machineID, snapshot.Snapshot{
		Timestamp: snapshot.TimeOf(at), Kind: snapshot.KindFull, IntervalMS: 1000,
		Processes: []snapshot.ProcessSample{
			{PID: 1, PPID: &parent, Name: "init", State: "S", CPUTime: &used, MemoryUsage: &memory},
			{PID: 2, StartedAt: snapshot.TimeOf(at) - 500, PPID: &parent, Name: "sh", State: snapshot.StateEnded},
		},
	})
	var machine int32
	if err := w.conn.QueryRow(t.Context(), `SELECT id FROM machines WHERE machine_id = $1`, machineID).
		Scan(&machine); err != nil {
		t.Fatal(err)
	}
	for relation, width := range walkWidths {
		row := rollupRow{relation, machine, at.Add(-time.Millisecond).Truncate(width)}
		if w.expired[row] {
			delete(w.expired, row) // a bucket that is made again
			w.accepted[row] = 0
		}
		w.accepted[row]++
	}
}

var walkWidths = map[string]time.Duration{
	"machine_1m": time.Minute, "machine_1h": time.Hour, "machine_3h": 3 * time.Hour, "machine_1d": day,
	"process_1h": time.Hour, "process_3h": 3 * time.Hour, "process_1d": day,
	"short_lived_1h": time.Hour, "short_lived_1d": day,
}

// setRetention chooses a random retention.
func (w *walk) setRetention(t *testing.T) {
	t.Helper()
	w.keep.RawDays = 1 + w.random.IntN(6)
	w.keep.ExitsDays = 1 + w.random.IntN(w.keep.RawDays)
	w.keep.MinuteDays = w.keep.RawDays + w.random.IntN(2)
	w.keep.HourDays = w.keep.MinuteDays + w.random.IntN(2)
	w.keep.ThreeHoursDays = w.keep.HourDays + w.random.IntN(2)
	w.keep.DayDays = w.keep.ThreeHoursDays + 30*w.random.IntN(2)
	w.keep.BudgetBytes = int64(w.random.IntN(3) / 2) // 1 is always exceeded
	w.log("the retention is now %+v", w.keep)
	setRetention(t, w.s, w.keep)
}

func (w *walk) restart(t *testing.T) {
	t.Helper()
	w.log("the server is started")
	if w.s != nil {
		w.s.Close()
	}
	w.s = w.db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return w.now } })
	w.keep = w.s.Retention()
}

// maintain does a round of maintenance, after which rollups may have expired.
func (w *walk) maintain(t *testing.T) {
	t.Helper()
	w.log("maintenance")
	maintain(t, w.s)
	for row := range w.accepted {
		if row.bucket.Before(w.now.Add(-w.keep.For(row.relation))) {
			w.expired[row] = true
		}
	}
}

// read returns how many snapshots each bucket of the rollups has. The process of the walk uses 1 ms in each.
func (w *walk) read(t *testing.T) map[rollupRow]int {
	t.Helper()
	var parts []string
	for relation := range walkWidths {
		column := "samples"
		if strings.HasPrefix(relation, "process") {
			column = "cpu_ms"
		}
		if strings.HasPrefix(relation, "short_lived") {
			column = "processes"
		}
		parts = append(parts, fmt.Sprintf(`SELECT '%s', machine, bucket, sum(%s)::integer FROM %[1]s GROUP BY machine, bucket`,
			relation, column))
	}
	rows, err := w.conn.Query(t.Context(), strings.Join(parts, " UNION ALL "))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[rollupRow]int)
	var row rollupRow
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&row.relation, &row.machine, &row.bucket, &n}, func() error {
		row.bucket = row.bucket.UTC()
		found[row] = n
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// check compares the rollups with those after the previous step.
func (w *walk) check(t *testing.T) {
	t.Helper()
	found := w.read(t)
	for row, before := range w.seen {
		if !w.expired[row] && found[row] < before {
			t.Errorf("%s of machine %d at %s had %d snapshots and has %d",
				row.relation, row.machine, row.bucket.Format(time.RFC3339), before, found[row])
		}
	}
	for row, n := range found {
		if n > w.accepted[row] {
			t.Errorf("%s of machine %d at %s has %d snapshots, but only %d were posted",
				row.relation, row.machine, row.bucket.Format(time.RFC3339), n, w.accepted[row])
		}
	}
	w.seen = found
}

// settle brings the rollups up to date and compares them with the model. The current day ends, because the jobs of
// TimescaleDB may have computed it already: their clock is ahead of that of the walk.
func (w *walk) settle(t *testing.T) {
	t.Helper()
	for range 3 {
		w.now = w.now.Add(12 * time.Hour)
		w.maintain(t)
	}
	w.check(t)
	for row, want := range w.accepted {
		if got := w.seen[row]; !w.expired[row] && got != want {
			t.Errorf("%s of machine %d at %s has %d of %d snapshots",
				row.relation, row.machine, row.bucket.Format(time.RFC3339), got, want)
		}
	}
}
