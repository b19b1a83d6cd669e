package query_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func TestRangeAndPaging(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testRangeAndPaging)
}

func testRangeAndPaging(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	series := snapshottest.NewMachine(7, 5).Series(storetest.Recent(), 10, time.Second, 4)
	storetest.Write(t, s, "range", series.Snapshots...)
	for _, test := range []struct {
		name        string
		from, to    int // seconds
		limit, want int
		first       int
		more        bool
	}{
		{"all", 0, 9, 10, 10, 0, false},
		{"both ends included", 2, 5, 10, 4, 2, false},
		{"cut by the limit", 2, 9, 3, 3, 2, true},
		{"exactly the limit", 2, 4, 3, 3, 2, false},
		{"nothing there", 20, 30, 3, 0, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			states, more, err := s.Snapshots(t.Context(), "range", query.Range{
				From: storetest.Recent().Add(time.Duration(test.from) * time.Second),
				To:   storetest.Recent().Add(time.Duration(test.to) * time.Second), Limit: test.limit})
			if err != nil || len(states) != test.want || more != test.more {
				t.Fatalf("%d states, more %v, %v", len(states), more, err)
			}
			if test.want > 0 && states[0].Timestamp != series.Snapshots[test.first].Timestamp {
				t.Errorf("begins at %s", states[0].Timestamp)
			}
		})
	}
	missed, err := s.After(t.Context(), "range", series.Snapshots[5].Timestamp, 2)
	if err != nil || len(missed) != 2 || missed[0].Timestamp != series.Snapshots[8].Timestamp {
		t.Fatalf("after: %v, %v", missed, err)
	}
	if diff := snapshottest.Diff(missed[1].Processes, series.Expected[9]); diff != "" {
		t.Error(diff)
	}
}

// A page ends before its snapshots have more than MaxProcesses processes together. Its last snapshot is complete, and
// the next page continues after it.
func TestPagesByProcesses(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testPagesByProcesses)
}

func testPagesByProcesses(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	series := snapshottest.NewMachine(8, 30).Series(storetest.Recent(), 25, time.Second, 4)
	storetest.Write(t, s, "by processes", series.Snapshots...)
	for _, limit := range []int{1, 7, 40, 100, 200, 100_000} {
		page := query.Range{
			From: storetest.Recent(), To: storetest.Recent().Add(time.Hour), Limit: 20,
			Processes: true, MaxProcesses: limit,
		}
		next := 0
		for more := true; more; {
			var states []snapshot.State
			var err error
			if states, more, err = s.Snapshots(t.Context(), "by processes", page); err != nil || len(states) == 0 {
				t.Fatalf("limit %d: %d states, %v", limit, len(states), err)
			}
			total := 0
			for i := range states {
				if diff := snapshottest.Diff(states[i].Processes, series.Expected[next]); diff != "" {
					t.Fatalf("limit %d, snapshot %d: %s", limit, next, diff)
				}
				total += len(states[i].Processes)
				next++
			}
			if len(states) > 1 && total > limit {
				t.Errorf("limit %d: a page of %d snapshots has %d processes", limit, len(states), total)
			}
			page.From = states[len(states)-1].Timestamp + 1
		}
		if next != len(series.Snapshots) {
			t.Errorf("limit %d: %d snapshots", limit, next)
		}
	}
}

func TestReadsThatFindNothing(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testReadsThatFindNothing)
}

func testReadsThatFindNothing(t *testing.T, db storetest.Database) {
	now := time.Now()
	s := db.Open(t, func(c *store.Config) { c.Now = func() time.Time { return now } })
	if _, err := s.At(t.Context(), "nobody", storetest.Recent(), true); !errors.Is(err, snapshot.ErrNoMachine) {
		t.Errorf("unknown machine: %v", err)
	}
	if _, _, err := s.Snapshots(t.Context(), "nobody", query.Range{Limit: 1}); !errors.Is(err, snapshot.ErrNoMachine) {
		t.Errorf("unknown machine: %v", err)
	}
	storetest.Write(t, s, "nothing", snapshot.Snapshot{Timestamp: storetest.Recent(), Kind: snapshot.KindFull})
	if _, err := s.At(t.Context(), "nothing", storetest.Recent()-1, true); !errors.Is(err, snapshot.ErrNoSnapshot) {
		t.Errorf("before the first: %v", err)
	}
	now = now.Add(31 * 24 * time.Hour) // the snapshot is past retention, if not dropped yet
	if _, err := s.At(t.Context(), "nothing", snapshot.TimeOf(now), true); !errors.Is(err, snapshot.ErrNoSnapshot) {
		t.Errorf("past the horizon: %v", err)
	}
}

// planNode is the part of EXPLAIN's JSON that the test uses.
type planNode struct {
	NodeType string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Loops    float64    `json:"Actual Loops"`
	Plans    []planNode `json:"Plans"`
}

func (n planNode) walk(visit func(planNode)) {
	visit(n)
	for _, child := range n.Plans {
		child.walk(visit)
	}
}

// Each query reads only the partitions of its time range, by index.
func TestReadsUseIndexesAndSkipPartitions(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	s := storetest.OpenConfig(t, store.Config{DatabaseURL: url, Retention: 30 * 24 * time.Hour})
	day := snapshot.TimeOf(time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Hour))
	for i := range 12 {
		storetest.Write(
			t, s, "m",
			snapshot.Snapshot{Timestamp: day.Add(-time.Duration(i) * 24 * time.Hour), Kind: snapshot.KindFull},
		) // makes the partitions
	}
	conn := storetest.Connect(t, url)
	for _, fill := range []string{ // 100 machines, a snapshot each quarter of an hour
		`INSERT INTO snapshots (machine, ts, full_ts, interval_ms, process_count)
			SELECT m, ts, ts, 1000, 5 FROM generate_series(2, 100) m, generate_series($1::timestamptz, $2, '15 minutes') ts ORDER BY ts`,
		`INSERT INTO process_samples (machine, ts, process, in_full, hour) SELECT machine, ts, 1, true, extract(epoch FROM ts)::bigint / 3600 FROM snapshots, generate_series(1, 5)`,
		`INSERT INTO disk_samples (machine, ts, device, mount) SELECT machine, ts, 'd', '/' FROM snapshots`,
		`INSERT INTO net_samples (machine, ts, name) SELECT machine, ts, 'eth0' FROM snapshots`,
	} {
		var args []any
		if strings.Contains(fill, "$1") {
			args = []any{day.Std().Add(-11 * 24 * time.Hour), day.Std()}
		}
		if _, err := conn.Exec(t.Context(), fill, args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	at := day.Add(-2*24*time.Hour + 7*time.Minute).Std()
	for name, read := range map[string]struct {
		sql        string
		args       []any
		partitions int
	}{
		"range":   {query.RangeSQL, []any{5, at.Add(-time.Hour), at, 100}, 1},
		"at":      {query.AtSQL, []any{5, at.Add(-30 * 24 * time.Hour), at}, 1},
		"next":    {query.NextSQL, []any{5, at, at.Add(30 * 24 * time.Hour)}, 1},
		"after":   {query.AfterSQL, []any{5, at.Add(24*time.Hour - time.Minute), 20}, 2},
		"samples": {query.SamplesSQL, []any{5, at.Add(-7 * time.Minute), at}, 1},
		"disks":   {query.DisksSQL, []any{5, at.Add(-7 * time.Minute), at}, 1},
		"nets":    {query.NetsSQL, []any{5, at.Add(-7 * time.Minute), at}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var text []byte
			if err := conn.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+read.sql,
				append([]any{pgx.QueryExecModeDescribeExec}, read.args...)...).Scan(&text); err != nil {
				t.Fatal(err)
			}
			var plans []struct{ Plan planNode }
			if err := json.Unmarshal(text, &plans); err != nil {
				t.Fatal(err)
			}
			touched := 0
			plans[0].Plan.walk(func(node planNode) {
				if node.NodeType == "Seq Scan" {
					t.Errorf("a sequential scan of %s", node.Relation)
				}
				if strings.Contains(node.Relation, "_20") && node.Loops > 0 {
					touched++
				}
			})
			if touched == 0 || touched > read.partitions {
				t.Errorf("%d partitions were read, want 1 to %d\n%s", touched, read.partitions, text)
			}
		})
	}
}

func BenchmarkAt(b *testing.B) {
	s := storetest.Open(b, nil)
	series := snapshottest.NewMachine(1, 300).Series(storetest.Recent(), 120, 5*time.Second, 12)
	storetest.Write(b, s, "m", series.Snapshots...)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if _, err := s.At(b.Context(), "m", series.Snapshots[i%120].Timestamp, true); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEndedProcessesOfAnInstant(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testEndedProcessesOfAnInstant)
}

// The processes that ended in an interval are in no list, but a part of the CPU usage is theirs.
func testEndedProcessesOfAnInstant(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	start := storetest.Recent()
	at := func(seconds int) snapshot.Time { return start.Add(time.Duration(seconds) * time.Second) }
	listed := func(pid int32, state string, cpuMS float64) snapshot.ProcessSample {
		return snapshot.ProcessSample{
			PID: pid, StartedAt: start, PPID: new(int32), Name: "p", State: state,
			CPUTime: new(snapshot.CPUTime(1000 * cpuMS)),
		}
	}
	changes := func(seconds int) snapshot.Snapshot {
		return snapshot.Snapshot{
			Timestamp: at(seconds), Kind: snapshot.KindChanges, Previous: at(seconds - 10), IntervalMS: 10_000,
		}
	}
	full := snapshot.Snapshot{Timestamp: at(0), Kind: snapshot.KindFull, IntervalMS: 10_000}
	for pid := range int32(4) {
		full.Processes = append(full.Processes, listed(pid+1, "S", 50))
	}
	first, second, third := changes(10), changes(20), changes(30)
	first.Processes = []snapshot.ProcessSample{ // one was listed, the other lived only between the snapshots
		{PID: 2, StartedAt: start, State: snapshot.StateEnded, CPUTime: new(snapshot.CPUTime(400_034))},
		listed(9, snapshot.StateEnded, 580.5),
	}
	first.Exited = []snapshot.ProcessKey{{PID: 3, StartedAt: start}} // what it used last is unknown
	third.Kind, third.Previous = snapshot.KindFull, 0
	third.Processes = []snapshot.ProcessSample{listed(1, "S", 0), listed(4, snapshot.StateEnded, 20), listed(5, "S", 0)}
	fourth, fifth := third, changes(50)
	fourth.Timestamp, fourth.Processes = at(40), []snapshot.ProcessSample{listed(1, "S", 0), listed(6, "S", 0)}
	fifth.Exited = []snapshot.ProcessKey{{PID: 6, StartedAt: start}}
	sixth := fourth
	sixth.Timestamp, sixth.Processes = at(60), nil
	storetest.Write(t, s, "ended", full, first, second, third, fourth, fifth, sixth)

	usage := func(v float64) *float64 { return &v }
	want := []struct {
		processes int64
		used      *snapshot.CPUTime
		usage     *float64
		unknown   int64
		listed    int
	}{
		{0, new(snapshot.CPUTime), usage(0), 0, 4}, {3, new(snapshot.CPUTime(980_534)), usage(9.81), 1, 2},
		{0, new(snapshot.CPUTime), usage(0), 0, 2}, {1, new(snapshot.CPUTime(20_000)), usage(0.2), 0, 2},
		{1, nil, nil, 1, 2}, // it is only missing from the full snapshot
		{1, nil, nil, 1, 1}, {1, nil, nil, 1, 0},
	}
	states, _, err := s.Snapshots(t.Context(), "ended", query.Range{From: at(0), To: at(60), Limit: 9, Processes: true})
	if err != nil || len(states) != len(want) {
		t.Fatalf("%d states, %v", len(states), err)
	}
	for i, w := range want {
		one, err := s.At(t.Context(), "ended", at(10*i), true)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range []*snapshot.State{&states[i], one} {
			wanted := snapshot.EndedProcesses{
				Processes: w.processes, CPUTime: w.used, CPUUsage: w.usage, Unknown: w.unknown,
			}
			if got := state.Ended; !reflect.DeepEqual(got, &wanted) || len(state.Processes) != w.listed {
				t.Errorf("after %d s: %+v with %d processes, want %+v", 10*i, got, len(state.Processes), w)
			}
		}
	}
	if state, err := s.At(t.Context(), "ended", at(10), false); err != nil || state.Ended != nil {
		t.Errorf("without processes: %+v, %v", state, err)
	}
}

// The number of ended processes is that of the comparison with the instant before, and of the reported ones.
func TestEndedProcessesOfASeries(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for fullEvery := range 4 {
			machineID := fmt.Sprint("ended-series-", fullEvery)
			machine := snapshottest.NewMachine(uint64(fullEvery), 20)
			machine.ReportEnded, machine.Churn = true, 0.1
			series := machine.Series(storetest.Recent(), 24, 5*time.Second, fullEvery+1)
			storetest.Write(t, s, machineID, series.Snapshots...)
			for i := range series.Snapshots {
				gone := make(map[snapshot.ProcessKey]bool)
				if i > 0 {
					for _, change := range snapshot.CompareProcesses(series.Expected[i-1], series.Expected[i]) {
						if change.After == nil {
							gone[change.Before.ProcessKey] = true
						}
					}
				}
				for _, one := range series.Ended[i] {
					gone[one.ProcessKey] = true
				}
				at := series.Snapshots[i].Timestamp
				state, err := s.At(t.Context(), machineID, at, true)
				if err != nil {
					t.Fatal(err)
				}
				unknown := int64(len(gone) - len(series.Ended[i]))
				if got := state.Ended; got.Processes != int64(len(gone)) || got.Unknown != unknown {
					t.Errorf("%s, %d: %+v, want %d, %d of them unknown", machineID, i, got, len(gone), unknown)
				}
				after, err := s.After(t.Context(), machineID, at-1, 1000)
				if err != nil || len(after) == 0 || !reflect.DeepEqual(after[0].Ended, state.Ended) {
					t.Errorf("%s, %d: live updates have %+v, want %+v (%v)", machineID, i, after, state.Ended, err)
				}
			}
		}
	})
}

func BenchmarkCoverage(b *testing.B) {
	s := storetest.Open(b, nil)
	series := snapshottest.NewMachine(1, 3).Series(storetest.Recent(), 120, 5*time.Second, 12)
	storetest.Write(b, s, "m", series.Snapshots...)
	state, err := s.At(b.Context(), "m", series.Snapshots[7].Timestamp, false)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Coverage(b.Context(), state.Timestamp, state); err != nil {
			b.Fatal(err)
		}
	}
}
