package store_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/backend"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// rollup holds the values of a row of process_1h or a coarser rollup.
type rollup struct {
	CPUTime, CPUTimeMax, MemoryMax, ReadBytes, WriteBytes *int64
	ElapsedMS                                             *int64
	MemoryAvg                                             *float64
	ThreadsMax                                            *int32
}

type rollupKey struct {
	pid      int32
	started  time.Time
	identity snapshot.Identity
	bucket   time.Time
}

func readRollups(t *testing.T, conn *pgx.Conn, relation, machineID string) map[rollupKey]rollup {
	t.Helper()
	rows, err := conn.Query(t.Context(), fmt.Sprintf(`
		SELECT p.pid, p.started_at, p.ppid, p.name, p.command_line, p.user_name, p.cgroup, r.bucket, r.cpu_us, r.cpu_us_max, r.elapsed_ms, r.memory_avg, r.memory_max, r.threads_max, r.read_bytes, r.write_bytes
		FROM %s r JOIN processes p ON p.id = r.process JOIN machines m ON m.id = r.machine WHERE m.machine_id = $1`, relation), machineID)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[rollupKey]rollup)
	if _, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var key rollupKey
		var one rollup
		err := row.Scan(&key.pid, &key.started, &key.identity.PPID, &key.identity.Name, &key.identity.CommandLine,
			&key.identity.User, &key.identity.Cgroup, &key.bucket, &one.CPUTime,
			&one.CPUTimeMax, &one.ElapsedMS, &one.MemoryAvg,
			&one.MemoryMax, &one.ThreadsMax, &one.ReadBytes, &one.WriteBytes)
		key.started, key.bucket = key.started.UTC(), key.bucket.UTC()
		if _, twice := all[key]; twice {
			t.Errorf("%v is in %s twice", key, relation)
		}
		all[key] = one
		return struct{}{}, err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// usageSum adds up the samples of a process in the full lists.
type usageSum struct {
	rollup
	samples            int64
	memory, memoryTime float64 // weighted by time
	plainMemory        float64
}

// add adds a sample of a snapshot that covers intervalMS.
func (s *usageSum) add(p *snapshot.Process, intervalMS int64) {
	add := func(total **int64, v *int64, largest bool) {
		switch {
		case v == nil:
		case *total == nil:
			*total = new(*v)
		case largest:
			**total = max(**total, *v)
		default:
			**total += *v
		}
	}
	add(&s.CPUTime, (*int64)(p.CPUTime), false)
	add(&s.CPUTimeMax, (*int64)(p.CPUTime), true)
	add(&s.ElapsedMS, &intervalMS, false)
	add(&s.ReadBytes, p.ReadBytes, false)
	add(&s.WriteBytes, p.WriteBytes, false)
	if p.MemoryUsage != nil {
		s.samples++
		s.memory += float64(*p.MemoryUsage) * float64(intervalMS)
		s.memoryTime += float64(intervalMS)
		s.plainMemory += float64(*p.MemoryUsage)
	}
	s.addLevels(p)
}

// addLevels adds the maxima.
func (s *usageSum) addLevels(p *snapshot.Process) {
	if p.MemoryUsage != nil && (s.MemoryMax == nil || *s.MemoryMax < *p.MemoryUsage) {
		s.MemoryMax = new(*p.MemoryUsage)
	}
	if p.Threads != nil && (s.ThreadsMax == nil || *s.ThreadsMax < *p.Threads) {
		s.ThreadsMax = new(*p.Threads)
	}
}

func (s *usageSum) total() rollup {
	switch {
	case s.memoryTime > 0:
		s.MemoryAvg = new(s.memory / s.memoryTime)
	case s.samples > 0:
		s.MemoryAvg = new(s.plainMemory / float64(s.samples))
	}
	return s.rollup
}

// expectedRollups aggregates the full lists. The rollups of the sparse rows must be equal. A snapshot belongs to the
// bucket (bucket, bucket + width].
func expectedRollups(series snapshottest.Series, width time.Duration) map[rollupKey]rollup {
	sums := make(map[rollupKey]*usageSum)
	for i, list := range series.Expected {
		bucket := (series.Snapshots[i].Timestamp - 1).Std().UTC().Truncate(width)
		for _, p := range slices.Concat(list, series.Ended[i]) {
			key := rollupKey{p.PID, p.StartedAt.Std().UTC(), p.Identity, bucket}
			if sums[key] == nil {
				sums[key] = &usageSum{}
			}
			sums[key].add(&p, runTime(&p, &series.Snapshots[i]))
		}
	}
	expected := make(map[rollupKey]rollup, len(sums))
	for key, s := range sums {
		expected[key] = s.total()
	}
	return expected
}

// runTime returns the part of a snapshot's interval in which a process ran.
func runTime(p *snapshot.Process, s *snapshot.Snapshot) int64 {
	if begin := s.Timestamp - snapshot.Time(s.IntervalMS); p.StartedAt > begin && p.StartedAt < s.Timestamp {
		return int64(s.Timestamp - p.StartedAt)
	}
	return s.IntervalMS
}

func compareRollups(t *testing.T, what string, got, want map[rollupKey]rollup) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for key, expected := range want {
		one, ok := got[key]
		if !ok {
			t.Errorf("%s: %v is missing", what, key)
			continue
		}
		for name, pair := range map[string][2]*int64{"cpu": {one.CPUTime, expected.CPUTime},
			"elapsed":  {one.ElapsedMS, expected.ElapsedMS},
			"most cpu": {one.CPUTimeMax, expected.CPUTimeMax}, "most memory": {one.MemoryMax, expected.MemoryMax},
			"read": {one.ReadBytes, expected.ReadBytes}, "written": {one.WriteBytes, expected.WriteBytes}} {
			if (pair[0] == nil) != (pair[1] == nil) || pair[0] != nil && *pair[0] != *pair[1] {
				t.Errorf("%s: %v: %s is %s, want %s", what, key, name, show(pair[0]), show(pair[1]))
			}
		}
		if (one.ThreadsMax == nil) != (expected.ThreadsMax == nil) ||
			one.ThreadsMax != nil && *one.ThreadsMax != *expected.ThreadsMax {
			t.Errorf("%s: %v: threads", what, key)
		}
		if (one.MemoryAvg == nil) != (expected.MemoryAvg == nil) ||
			one.MemoryAvg != nil && math.Abs(*one.MemoryAvg-*expected.MemoryAvg) > 1e-6**expected.MemoryAvg+1 {
			t.Errorf("%s: %v: average memory %s, want %s", what, key, showFloat(one.MemoryAvg),
				showFloat(expected.MemoryAvg))
		}
		if t.Failed() {
			return
		}
	}
}

func show(v *int64) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(*v)
}

func showFloat(v *float64) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprintf("%.0f", *v)
}

var processRollups = map[string]time.Duration{
	"process_1h": time.Hour,
	"process_3h": 3 * time.Hour,
	"process_1d": 24 * time.Hour,
}

// rollupCase is a generated machine.
type rollupCase struct {
	seed                    uint64
	processes               int
	churn                   float64
	offset, step, fullEvery int  // seconds, seconds, snapshots
	irregular               bool // whether intervals are random, with gaps
	lateFulls               int  // how many runs at the beginning arrive last
}

// instants returns the times of 60 snapshots. If the case is irregular, intervals are random, and one in twenty follows
// a gap.
func (c *rollupCase) instants(begin snapshot.Time) []snapshottest.Instant {
	rng := rand.New(rand.NewPCG(c.seed, 2))
	at, stepMS := begin.Add(time.Duration(c.offset)*time.Second), int64(c.step)*1000
	instants := make([]snapshottest.Instant, 60)
	full := at
	for i := range instants {
		one := snapshottest.Instant{Timestamp: at, IntervalMS: stepMS, Full: i%c.fullEvery == 0}
		if c.irregular {
			one.IntervalMS = 1 + rng.Int64N(2*stepMS)
			if i > 0 && i%c.fullEvery == 0 && rng.IntN(20) == 0 {
				// After up to two polling intervals, an unknown interval is taken for the time since the last snapshot.
				one.Timestamp += snapshot.Time(10_000 + rng.Int64N(3_600_000))
				one.IntervalMS = 0
			} else if i > 0 {
				one.Timestamp = instants[i-1].Timestamp + snapshot.Time(one.IntervalMS)
			}
		}
		if one.Timestamp.Sub(full) > snapshot.MaxRunDuration {
			one.Full = true
		}
		if one.Full {
			full = one.Timestamp
		}
		instants[i] = one
		at = one.Timestamp + snapshot.Time(stepMS)
	}
	return instants
}

// Rollups of sparse rows are equal to those of the full lists: before they are materialized, after that, and
// when late data arrives.
func TestRollupsOfSparseRowsAreExact(t *testing.T) {
	t.Parallel()
	storetest.EachProfile(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		conn := storetest.Connect(t, db.URL)
		begin := snapshot.TimeOf(time.Now().UTC().Truncate(24 * time.Hour).Add(-48*time.Hour + 50*time.Minute))
		check := func(when, machineID string, series snapshottest.Series) {
			t.Helper()
			for relation, width := range processRollups {
				compareRollups(
					t, relation+" of "+machineID+" "+when, readRollups(t, conn, relation, machineID),
					expectedRollups(series, width),
				)
			}
		}
		all := make(map[string]snapshottest.Series)
		rest := make(map[string][]snapshot.Snapshot) // written at the end
		add := func(c rollupCase) {
			machine := snapshottest.NewMachine(c.seed, c.processes)
			machine.ReportEnded = true
			machine.Churn = c.churn
			machine.MemoryStep = 1 << 30
			series := machine.SeriesAt(c.instants(begin))
			series.Snapshots = storetest.WithOpenFiles(series.Snapshots)
			machineID := fmt.Sprintf("m-%d-step-%d-full-%d", len(all), c.step, c.fullEvery)
			all[machineID] = series
			late := c.lateFulls * c.fullEvery
			storetest.Write(t, s, machineID, series.Snapshots[late:]...)
			rest[machineID] = series.Snapshots[:late]
			if late == 0 && len(all) <= 10 {
				if err := s.CloseSilent(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				check("before it is materialized", machineID, series)
			}
		}
		// These two failed while the rollups were written.
		add(rollupCase{seed: 0xfa, processes: 6, churn: 0.021484375, offset: 131, step: 43, fullEvery: 1})
		add(rollupCase{seed: 0x2366, processes: 2, churn: 2.7173365185728254e-09, offset: 347, step: 28, fullEvery: 8})
		rapid.Check(t, func(rt *rapid.T) {
			c := rollupCase{
				seed: rapid.Uint64().Draw(rt, "seed"), processes: rapid.IntRange(1, 12).Draw(rt, "processes"),
				churn: rapid.Float64Range(0, 0.1).Draw(rt, "churn"), step: rapid.IntRange(5, 45).Draw(rt, "step"),
				fullEvery: rapid.IntRange(1, 12).Draw(rt, "full every"),
				offset:    rapid.IntRange(0, 600).Draw(rt, "offset"),
				irregular: rapid.Bool().Draw(rt, "irregular"),
			}
			if rapid.Bool().Draw(rt, "late") {
				c.lateFulls = rapid.IntRange(0, 59/c.fullEvery).Draw(rt, "fulls that are late")
			}
			add(c)
		})
		storetest.RefreshAll(t, db, s)
		for machineID, snapshots := range rest {
			if len(snapshots) > 0 {
				storetest.Write(t, s, machineID, snapshots...)
				if db.Detection.Profile == backend.Postgres { // TimescaleDB includes late data after the next refresh
					check("with late data", machineID, all[machineID])
				}
			}
		}
		storetest.RefreshAll(t, db, s)
		for machineID, series := range all {
			check("at the end", machineID, series)
		}
	})
}
