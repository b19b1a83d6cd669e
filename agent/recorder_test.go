package agent

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/agent/collect"
	"github.com/snapwatch/snapwatch/agent/delivery"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// fakeProcesses is the process list of a simulated machine. It works with the fake clock of synctest.
type fakeProcesses struct{ machine *snapshottest.Machine }

func (fakeProcesses) Close() {}

func (f fakeProcesses) Read(context.Context, procfs.Options, bool) ([]procfs.Process, error) {
	var list []procfs.Process
	for _, p := range f.machine.Step(snapshot.TimeOf(time.Now())) {
		list = append(list, procfs.Process{
			ProcessKey: p.ProcessKey,
			Identity:   p.Identity,
			State:      p.State,
			Memory:     *p.MemoryUsage,
			Threads:    *p.Threads,
		})
	}
	return list, nil
}

// fakeRecorder returns a recorder of a simulated machine, with a queue in memory.
func fakeRecorder(limit int) *recorder {
	sampler := collect.New(collect.Sources{
		Processes: fakeProcesses{snapshottest.NewMachine(1, 10)},
		Forks:     func() int64 { return procfs.Unknown },
	}, testlog.Logger())
	return newRecorder(sampler, delivery.NewMemoryQueue(limit, testlog.Logger()), testlog.Logger(), time.Minute)
}

// decodeQueue returns the snapshots in a queue.
func decodeQueue(t *testing.T, q *delivery.Queue) []snapshot.Snapshot {
	t.Helper()
	var list []snapshot.Snapshot
	for _, waiting := range q.Head(math.MaxInt, math.MaxInt) {
		var s snapshot.Snapshot
		if err := json.Unmarshal(waiting.JSON, &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// Processes that are excluded are not recorded from then on, and are not recorded as exited either: the next snapshot
// is full.
func TestExcludedProcessesAreNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRecorder(1 << 30)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.run(ctx); close(done) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := decodeQueue(t, r.queue)
		name := before[0].Processes[0].Name
		r.Configure(snapshot.Config{PollingInterval: 5, Enabled: true, Exclude: []string{name[:2] + "*"}})
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		<-done
		after := decodeQueue(t, r.queue)[len(before):]
		if len(after) < 10 || after[0].Kind != snapshot.KindFull || len(after[0].Processes) == 0 {
			t.Fatalf("%d snapshots, the first %+v", len(after), after[0])
		}
		for _, s := range after {
			for _, p := range s.Processes {
				if strings.HasPrefix(p.Name, name[:2]) {
					t.Fatalf("%s is excluded, and is recorded", p.Name)
				}
			}
		}
	})
}

func TestCadenceFollowsTheConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRecorder(1 << 30)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.run(ctx); close(done) }()
		count := func() int { n, _, _ := r.queue.Size(); return n }
		counted := 0 // run may have recorded a snapshot already
		advance := func(d time.Duration) int {
			before := counted
			time.Sleep(d)
			synctest.Wait()
			counted = count()
			return counted - before
		}
		if n := advance(1500 * time.Millisecond); n != 2 {
			t.Errorf("at start: %d snapshots in 1.5 s, want 2", n)
		}
		if n := advance(60 * time.Second); n != 12 {
			t.Errorf("at 5 s: %d snapshots a minute", n)
		}
		r.Configure(snapshot.Config{PollingInterval: 1, Enabled: true})
		if n := advance(10 * time.Second); n < 10 || n > 11 {
			t.Errorf("at 1 s: %d snapshots in 10 s", n)
		}
		r.Configure(snapshot.Config{PollingInterval: 1, Enabled: false})
		if n := advance(time.Hour); n != 0 {
			t.Errorf("disabled: %d snapshots", n)
		}
		r.Configure(snapshot.Config{PollingInterval: 0.001, Enabled: true}) // too short: the shortest interval applies
		if n := advance(10 * time.Second); n < 20 || n > 21 {
			t.Errorf("at the shortest interval: %d snapshots in 10 s", n)
		}
		cancel()
		<-done
		list := decodeQueue(t, r.queue)
		var previous, lastFull snapshot.Time
		for i, s := range list {
			full := s.Kind == snapshot.KindFull
			switch {
			case i == 0 && !full:
				t.Error("the first snapshot is not full")
			case !full && s.Previous != previous:
				t.Errorf("%s has previous %s, want %s", s.Timestamp, s.Previous, previous)
			case !full && s.Timestamp.Sub(lastFull) > time.Minute:
				t.Errorf("no full snapshot for %s", s.Timestamp.Sub(lastFull))
			case !full && s.Timestamp.Sub(previous) > 10*time.Second:
				t.Errorf("changes after a gap of %s", s.Timestamp.Sub(previous))
			}
			if previous = s.Timestamp; full {
				lastFull = s.Timestamp
			}
		}
	})
}
