package writer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

func wantError(t testing.TB, outcome snapshot.WriteResult, code snapshot.Code) {
	t.Helper()
	invalid, ok := errors.AsType[*snapshot.ValidationError](outcome.Err)
	if !ok || invalid.Code != code {
		t.Fatalf("got %v, want a validation error %s", outcome.Err, code)
	}
}

// Sparse series that are written in batches of any size are read back exactly, at every time and by every query,
// with and without the writer's cache.
func TestStoredSeriesReplaysExactly(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testStoredSeriesReplaysExactly)
}

func testStoredSeriesReplaysExactly(t *testing.T, db storetest.Database) {
	for _, cache := range []int{1, 1_000_000} {
		t.Run(fmt.Sprintf("cache of %d", cache), func(t *testing.T) {
			s := db.Open(t, func(c *store.Config) { c.RunCacheSize = cache })
			machines := 0
			rapid.Check(t, func(rt *rapid.T) {
				machines++
				machineID := fmt.Sprintf("m-%d-%d", cache, machines)
				machine := snapshottest.NewMachine(
					rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(1, 25).Draw(rt, "processes"),
				)
				machine.ReportEnded = true
				machine.Churn = rapid.Float64Range(0, 0.4).Draw(rt, "churn")
				series := machine.Series(
					storetest.Recent(),
					12,
					5*time.Second,
					rapid.IntRange(1, 12).Draw(rt, "full every"),
				)
				for rest := series.Snapshots; len(rest) > 0; {
					n := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
					if ack := storetest.Write(t, s, machineID, rest[:n]...); ack.Stored != n {
						rt.Fatalf("stored %d of %d", ack.Stored, n)
					}
					rest = rest[n:]
				}
				states, more, err := s.Snapshots(
					t.Context(),
					machineID,
					query.Range{
						From:      storetest.Recent().Add(-time.Hour),
						To:        storetest.Recent().Add(time.Hour),
						Limit:     100,
						Processes: true,
					},
				)
				if err != nil || more || len(states) != len(series.Expected) {
					rt.Fatalf("%d states, more %v, %v", len(states), more, err)
				}
				for i, state := range states {
					if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
						rt.Fatalf("range, instant %d: %s", i, diff)
					}
				}
				i := rapid.IntRange(0, len(series.Expected)-1).Draw(rt, "instant")
				state, err := s.At(t.Context(), machineID, series.Snapshots[i].Timestamp.Add(time.Second), true)
				if err != nil {
					rt.Fatal(err)
				}
				if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
					rt.Fatalf("at, instant %d: %s", i, diff)
				}
			})
		})
	}
}

func TestMetricsAndDevicesAreReadBack(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testMetricsAndDevicesAreReadBack)
}

func testMetricsAndDevicesAreReadBack(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	want := snapshottest.NewMachine(1, 3).Series(storetest.Recent(), 1, time.Second, 1).Snapshots[0]
	storetest.Write(t, s, "metrics", want)
	state, err := s.At(t.Context(), "metrics", want.Timestamp, false)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := snapshot.EncodeBatch(&snapshot.Batch{Snapshots: []snapshot.Snapshot{{Machine: state.Machine}}})
	expected, _ := snapshot.EncodeBatch(&snapshot.Batch{Snapshots: []snapshot.Snapshot{{Machine: want.Machine}}})
	if string(got) != string(expected) {
		t.Errorf("got %s\nwant %s", got, expected)
	}
	if state.Processes != nil {
		t.Error("processes were read without being asked for")
	}
	empty := snapshot.Snapshot{Timestamp: want.Timestamp + 1}
	storetest.Write(t, s, "metrics", empty)
	if state, err = s.At(t.Context(), "metrics", empty.Timestamp, true); err != nil || state.Machine.CPUUsage != nil ||
		state.Machine.TotalRAM != nil ||
		len(state.Processes) != 0 {
		t.Errorf("an empty snapshot is read as %+v, %v", state, err)
	}
}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testDuplicates)
}

func testDuplicates(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	series := snapshottest.NewMachine(2, 20).Series(storetest.Recent(), 6, time.Second, 6)
	batch := &snapshot.Batch{MachineID: "duplicates-1", Snapshots: series.Snapshots[:4]}

	t.Run("posted twice in a row", func(t *testing.T) {
		if ack := storetest.Write(t, s, "duplicates-1", batch.Snapshots...); ack.Stored != 4 || ack.Duplicates != 0 {
			t.Fatalf("first: %+v", ack)
		}
		if ack := storetest.Write(t, s, "duplicates-1", batch.Snapshots...); ack.Stored != 0 || ack.Duplicates != 4 {
			t.Fatalf("second: %+v", ack)
		}
	})
	t.Run("overlapping", func(t *testing.T) {
		if ack := storetest.Write(t, s, "duplicates-1", series.Snapshots...); ack.Stored != 2 || ack.Duplicates != 4 {
			t.Fatalf("%+v", ack)
		}
	})
	t.Run("twice in one group", func(t *testing.T) {
		again := &snapshot.Batch{MachineID: "duplicates-2", Snapshots: series.Snapshots}
		outcomes := s.Write(context.Background(), []*snapshot.Batch{again, again, batch})
		if a, b, c := outcomes[0].Ack, outcomes[1].Ack, outcomes[2].Ack; a.Stored != 6 || b.Duplicates != 6 ||
			c.Duplicates != 4 {
			t.Fatalf("%+v %+v %+v", a, b, c)
		}
	})
	t.Run("from two servers at once", func(t *testing.T) {
		// The machine's row exists already, so that only its lock serializes the writers.
		storetest.Write(t, db.Open(t, nil), "duplicates-3")
		var wg sync.WaitGroup
		acks := make([]snapshot.Ack, 8)
		for i := range acks {
			server := db.Open(t, func(c *store.Config) { c.MaxConns = 2 })
			wg.Go(func() { acks[i] = storetest.Write(t, server, "duplicates-3", series.Snapshots...) })
		}
		wg.Wait()
		stored, duplicates := 0, 0
		for _, ack := range acks {
			stored += ack.Stored
			duplicates += ack.Duplicates
		}
		if stored != 6 || duplicates != 7*6 {
			t.Fatalf("stored %d, duplicates %d", stored, duplicates)
		}
		conn := storetest.Connect(t, db.URL)
		count := func(machineID string) (snapshots, rows int) {
			t.Helper()
			if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM snapshots WHERE machine = m.id),
				(SELECT count(*) FROM process_samples WHERE machine = m.id)
				FROM machines m WHERE machine_id = $1`, machineID).Scan(&snapshots, &rows); err != nil {
				t.Fatal(err)
			}
			return snapshots, rows
		}
		storetest.Write(t, s, "duplicates-4", series.Snapshots...)
		_, want := count("duplicates-4")
		snapshots, rows := count("duplicates-3")
		if snapshots != 6 || rows != want {
			t.Fatalf("%d snapshots, %d samples; want 6, %d", snapshots, rows, want)
		}
	})
}

// Two servers write alternately for one machine. Each must detect that its cached run is out of date.
func TestServersTakeTurns(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testServersTakeTurns)
}

func testServersTakeTurns(t *testing.T, db storetest.Database) {
	var servers [2]*store.Store
	for i := range servers {
		servers[i] = db.Open(t, nil)
	}
	machine := snapshottest.NewMachine(3, 30)
	machine.Churn = 0.2
	series := machine.Series(storetest.Recent(), 30, time.Second, 10)
	for i := range series.Snapshots {
		storetest.Write(t, servers[i%2], "turns", series.Snapshots[i])
		state, err := servers[1].At(t.Context(), "turns", series.Snapshots[i].Timestamp, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
			t.Fatalf("instant %d: %s", i, diff)
		}
	}
}

func TestChangesNeedTheirFull(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testChangesNeedTheirFull)
}

func testChangesNeedTheirFull(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	series := snapshottest.NewMachine(4, 10).Series(storetest.Recent(), 8, time.Second, 8).Snapshots
	try := func(snapshots ...snapshot.Snapshot) snapshot.WriteResult {
		return s.Write(context.Background(), []*snapshot.Batch{{MachineID: "full-needed", Snapshots: snapshots}})[0]
	}
	wantError(t, try(series[1]), snapshot.CodeFullNeeded) // nothing before it
	storetest.Write(t, s, "full-needed", series[0], series[1])
	wantError(t, try(series[3]), snapshot.CodeFullNeeded) // series[2] is missing
	wantError(t, try(series[2], series[4]), snapshot.CodeFullNeeded)
	if state, err := s.At(t.Context(), "full-needed", series[7].Timestamp, true); err != nil ||
		state.Timestamp != series[1].Timestamp {
		t.Fatalf("an invalid batch was partly stored: %v, %v", state, err)
	}
	unknown := series[2]
	unknown.Exited = append(unknown.Exited, snapshot.ProcessKey{PID: 99_999})
	wantError(t, try(unknown), snapshot.CodeFullNeeded)
	old := series[2]
	old.Timestamp, old.Previous = series[0].Timestamp.Add(snapshot.MaxRunDuration+time.Second), 0
	wantError(t, try(old), snapshot.CodeFullNeeded)
	storetest.Write(t, s, "full-needed", series[2:]...)
}

func TestLateData(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testLateData)
}

func testLateData(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	machine := snapshottest.NewMachine(5, 10)
	older := machine.Series(storetest.Recent(), 6, time.Second, 3)                  // two runs, sent last
	newer := machine.Series(storetest.Recent().Add(time.Minute), 6, time.Second, 6) // live data, sent first
	storetest.Write(t, s, "late", newer.Snapshots...)
	storetest.Write(t, s, "late", older.Snapshots[:2]...)
	storetest.Write(t, s, "late", older.Snapshots[2:]...)
	for _, series := range []snapshottest.Series{older, newer} {
		for i := range series.Snapshots {
			state, err := s.At(t.Context(), "late", series.Snapshots[i].Timestamp, true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
				t.Fatalf("%s: %s", series.Snapshots[i].Timestamp, diff)
			}
		}
	}
	// A batch that ends the late run and continues the live one is based on the live run.
	next := newer.Snapshots[5]
	next.Previous, next.Timestamp, next.Exited = next.Timestamp, next.Timestamp.Add(time.Second), nil
	next.Processes = nil
	between := snapshot.Snapshot{Timestamp: older.Snapshots[5].Timestamp.Add(time.Second), Kind: snapshot.KindFull}
	storetest.Write(t, s, "late", between, next)
	state, err := s.At(t.Context(), "late", next.Timestamp, true)
	if err != nil || len(state.Processes) != len(newer.Expected[5]) {
		t.Fatalf("%d processes, want %d (%v)", len(state.Processes), len(newer.Expected[5]), err)
	}
	inside := snapshot.Snapshot{Timestamp: newer.Snapshots[2].Timestamp + 1, Kind: snapshot.KindFull}
	wantError(
		t,
		s.Write(context.Background(), []*snapshot.Batch{{MachineID: "late",
			Snapshots: []snapshot.Snapshot{inside}}})[0],
		snapshot.CodeOutOfOrder,
	)
}

// A batch that the database rejects does not fail its group. Validation would reject this one, so it stands for
// anything that validation misses.
func TestRejectedBatchDoesNotFailItsGroup(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testRejectedBatchDoesNotFailItsGroup)
}

func testRejectedBatchDoesNotFailItsGroup(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	series := snapshottest.NewMachine(6, 5).Series(storetest.Recent(), 2, time.Second, 2).Snapshots
	ppid := int32(0)
	poison := snapshot.Snapshot{
		Timestamp: storetest.Recent(),
		Kind:      snapshot.KindFull,
		Processes: []snapshot.ProcessSample{{PID: 1, PPID: &ppid, Name: "a\x00b"}},
	}
	outcomes := s.Write(context.Background(), []*snapshot.Batch{
		{MachineID: "group-1", Snapshots: series}, {MachineID: "poison", Snapshots: []snapshot.Snapshot{poison}},
		{MachineID: "group-2", Snapshots: series}, {MachineID: "group-2", Snapshots: series[1:]},
	})
	if outcomes[0].Ack.Stored != 2 || outcomes[2].Ack.Stored != 2 || outcomes[3].Ack.Duplicates != 1 {
		t.Errorf("neighbours: %+v", outcomes)
	}
	if outcomes[1].Err == nil {
		t.Error("the rejected batch was stored")
	}
}

func TestProcessWithoutStartTime(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, testProcessWithoutStartTime)
}

func testProcessWithoutStartTime(t *testing.T, db storetest.Database) {
	s := db.Open(t, nil)
	ppid := int32(0)
	body := snapshot.Snapshot{
		Timestamp: storetest.Recent(),
		Kind:      snapshot.KindFull,
		Processes: []snapshot.ProcessSample{{PID: 1, PPID: &ppid, Name: "init"}},
	}
	storetest.Write(t, s, "no-start", body)
	body.Timestamp++
	storetest.Write(t, s, "no-start", body)
	var rows int
	conn := storetest.Connect(t, db.URL)
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM processes p JOIN machines m ON m.id = p.machine WHERE m.machine_id = 'no-start'`).Scan(&rows); err != nil ||
		rows != 1 {
		t.Fatalf("%d identities for one process (%v)", rows, err)
	}
}

// After an outage, an agent sends its newest run first, and then everything in order. Each snapshot is stored
// once and read back exactly.
func TestNewestRunFirst(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		machine := snapshottest.NewMachine(3, 15)
		machine.ReportEnded = true
		series := machine.Series(storetest.Recent(), 60, 5*time.Second, 10)
		stored, duplicates := 0, 0
		for _, part := range [][2]int{{0, 5}, {50, 53}, {5, 20}, {53, 55}, {20, 41}, {55, 56}, {41, 60}} {
			ack := storetest.Write(t, s, "newest-first", series.Snapshots[part[0]:part[1]]...)
			stored, duplicates = stored+ack.Stored, duplicates+ack.Duplicates
		}
		if stored != 60 || duplicates != 6 {
			t.Errorf("%d are stored, %d are duplicates", stored, duplicates)
		}
		for i := range series.Snapshots {
			state, err := s.At(t.Context(), "newest-first", series.Snapshots[i].Timestamp, true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
				t.Fatalf("instant %d: %s", i, diff)
			}
		}
	})
}

// The first snapshot of an hour is stored in full, so that no run of changes starts in another hour.
func TestHoursBeginInFull(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		for _, cache := range []int{1, 1_000_000} {
			s := db.Open(t, func(c *store.Config) { c.RunCacheSize = cache })
			machineID := fmt.Sprintf("hours-%d", cache)
			machine := snapshottest.NewMachine(3, 30)
			machine.Churn = 0.1
			series := machine.Series(storetest.Recent().Add(-30*time.Second), 12, 5*time.Second, 12)
			for i := range series.Snapshots {
				if cache == 1 {
					storetest.Write(
						t,
						s,
						"hours-other",
						snapshot.Snapshot{
							Timestamp: storetest.Recent().Add(time.Duration(i) * time.Second),
							Kind:      snapshot.KindFull,
						},
					) // takes the cache
				}
				storetest.Write(t, s, machineID, series.Snapshots[i])
			}
			for i := range series.Snapshots {
				state, err := s.At(t.Context(), machineID, series.Snapshots[i].Timestamp, true)
				if err != nil {
					t.Fatal(err)
				}
				want := snapshot.KindChanges
				if i == 0 || i == 6 {
					want = snapshot.KindFull
				}
				if state.Kind != want {
					t.Errorf("snapshot %d is stored as %s, want %s", i, state.Kind, want)
				}
				if diff := snapshottest.Diff(state.Processes, series.Expected[i]); diff != "" {
					t.Errorf("snapshot %d: %s", i, diff)
				}
			}
			conn := storetest.Connect(t, db.URL)
			var crossing int
			if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM snapshots WHERE machine = (SELECT id FROM machines WHERE machine_id = $1) AND date_bin('1 hour', ts, '2000-01-01 00:00:00+00') <> date_bin('1 hour', full_ts, '2000-01-01 00:00:00+00')`, machineID).Scan(&crossing); err != nil ||
				crossing != 0 {
				t.Errorf("%d snapshots belong to a run of another hour (%v)", crossing, err)
			}
		}
	})
}

func BenchmarkWriteFull(b *testing.B) {
	s := storetest.Open(b, nil)
	series := snapshottest.NewMachine(1, 300).Series(storetest.Recent(), 2000, time.Second, 1)
	b.ResetTimer()
	n := 0
	for i := 0; b.Loop(); i++ {
		batch := &snapshot.Batch{MachineID: fmt.Sprintf("m-%d", i/2000), Snapshots: series.Snapshots[i%2000 : i%2000+1]}
		if err := s.Write(b.Context(), []*snapshot.Batch{batch})[0].Err; err != nil {
			b.Fatal(err)
		}
		n += 300
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
}

// BenchmarkWriteMachines writes groups of snapshots that have system metrics and few processes.
func BenchmarkWriteMachines(b *testing.B) {
	const machines = 200
	s := storetest.Open(b, nil)
	series := snapshottest.NewMachine(1, 1).Series(storetest.Recent(), 3000, time.Second, 1)
	n := 0
	for i := 0; b.Loop(); i++ {
		group := make([]*snapshot.Batch, machines)
		for k := range group {
			group[k] = &snapshot.Batch{
				MachineID: fmt.Sprintf("m-%d-%d", i/3000, k), Snapshots: series.Snapshots[i%3000 : i%3000+1],
			}
		}
		for _, result := range s.Write(b.Context(), group) {
			if result.Err != nil {
				b.Fatal(result.Err)
			}
		}
		n += machines
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "snapshots/s")
}
