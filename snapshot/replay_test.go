package snapshot_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// A replayed series equals the process lists that it was made from, with starting and ending processes, exec,
// orphans and reused pids, and after encoding and decoding.
func TestReplayEqualsFullLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		machine := snapshottest.NewMachine(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 40).Draw(t, "processes"))
		machine.ReportEnded = true
		machine.Churn = rapid.Float64Range(0, 0.5).Draw(t, "churn")
		machine.Busy = rapid.Float64Range(0, 1).Draw(t, "busy")
		series := machine.Series(1_780_000_000_000, 20, time.Second, rapid.IntRange(1, 20).Draw(t, "full every"))

		body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series.Snapshots})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := snapshot.DecodeBatch(body)
		if err != nil {
			t.Fatal(err)
		}
		var replay snapshot.Replay
		for i := range batch.Snapshots {
			if err := replay.Apply(&batch.Snapshots[i]); err != nil {
				t.Fatal(err)
			}
			if diff := snapshottest.Diff(replay.Processes(), series.Expected[i]); diff != "" {
				t.Fatalf("instant %d: %s", i, diff)
			}
		}
	})
}

func TestReplayRejectsUnknownProcesses(t *testing.T) {
	var replay snapshot.Replay
	err := replay.Apply(
		&snapshot.Snapshot{Timestamp: 2, Kind: snapshot.KindChanges, Processes: []snapshot.ProcessSample{{PID: 7}}},
	)
	if unknown, ok := errors.AsType[*snapshot.UnknownProcessError](err); !ok || unknown.Key.PID != 7 {
		t.Fatalf("got %v, want an UnknownProcessError for pid 7", err)
	}
	err = replay.Apply(
		&snapshot.Snapshot{Timestamp: 2, Kind: snapshot.KindChanges, Exited: []snapshot.ProcessKey{{PID: 8}}},
	)
	if unknown, ok := errors.AsType[*snapshot.UnknownProcessError](err); !ok || unknown.Key.PID != 8 {
		t.Fatalf("got %v, want an UnknownProcessError for pid 8", err)
	}
}

func TestEncoderOmitsIdleProcesses(t *testing.T) {
	zero, rss := snapshot.CPUTime(0), int64(4096)
	idle := snapshot.Process{
		ProcessKey: snapshot.ProcessKey{PID: 1},
		Values:     snapshot.Values{State: "S", CPUTime: &zero, MemoryUsage: &rss},
	}
	var encoder snapshot.Encoder
	encoder.Full([]snapshot.Process{idle})
	if samples, exited := encoder.Changes([]snapshot.Process{idle}); len(samples)+len(exited) != 0 {
		t.Fatalf("an idle process was encoded: %v %v", samples, exited)
	}
	// A process that uses the same CPU time in each interval is not idle.
	used := snapshot.CPUTime(50_000)
	busy := idle
	busy.CPUTime = &used
	for range 2 {
		if samples, _ := encoder.Changes([]snapshot.Process{busy}); len(samples) != 1 {
			t.Fatal("a busy process was not encoded")
		}
	}
}

func TestCPUUsageAndCPUTime(t *testing.T) {
	used, usage := snapshot.CPUTime(10_013), 0.2
	if got := snapshot.CPUUsage(&used, 5000); got == nil || *got != usage {
		t.Fatalf("10.013 ms in 5 s is %v, want 0.2 %%", got)
	}
	sample := snapshot.ProcessSample{CPUUsage: &usage}
	if got := sample.Values(5000).CPUTime; got == nil || *got != 10_000 {
		t.Fatalf("0.2 %% of 5 s is %v, want 10 ms", got)
	}
	if got := snapshot.CPUUsage(nil, 5000); got != nil {
		t.Fatalf("unknown CPU time gave %v", *got)
	}
}

// A process that a changes snapshot does not list keeps its gauges, and its deltas become 0, except unknown
// ones.
func TestCarryForward(t *testing.T) {
	delta, rss, threads, ppid := int64(50), int64(4096), int32(3), int32(0)
	var replay snapshot.Replay
	for _, s := range []snapshot.Snapshot{
		{Timestamp: 1, Kind: snapshot.KindFull, Processes: []snapshot.ProcessSample{{
			PID: 1, PPID: &ppid, Name: "a", State: "R", CPUTime: new(snapshot.CPUTime(50)), MemoryUsage: &rss,
			Threads: &threads, WriteBytes: &delta,
		}}},
		{Timestamp: 2, Kind: snapshot.KindChanges},
	} {
		if err := replay.Apply(&s); err != nil {
			t.Fatal(err)
		}
	}
	p := replay.Processes()[0]
	if *p.CPUTime != 0 || *p.WriteBytes != 0 || p.ReadBytes != nil {
		t.Errorf("deltas: %d µs, %d bytes written, %v bytes read; want 0, 0, unknown",
			*p.CPUTime, *p.WriteBytes, p.ReadBytes)
	}
	if p.State != "R" || *p.MemoryUsage != rss || *p.Threads != threads {
		t.Errorf("the gauges changed: %+v", p.Values)
	}
}
