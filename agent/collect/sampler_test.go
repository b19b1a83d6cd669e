package collect

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// lists returns one process list per read.
type lists struct {
	list   [][]procfs.Process
	onRead func()
}

func (l *lists) Read(context.Context, procfs.Options, bool) ([]procfs.Process, error) {
	l.onRead()
	next := l.list[0]
	l.list = l.list[1:]
	return next, nil
}

func (l *lists) Close() {}

// Processes that start while a list is read, and are in the next one, do not hide others that no list contains.
func TestUnseenProcessesAreAnUpperBound(t *testing.T) {
	process := func(pid int32) procfs.Process {
		return procfs.Process{ProcessKey: snapshot.ProcessKey{PID: pid, StartedAt: 1}, Threads: 1}
	}
	forks := int64(100)
	reader := &lists{list: [][]procfs.Process{
		{process(1)},
		{process(1), process(2), process(3), process(4)},
		{process(1), process(2), process(3), process(4)},
	}}
	reader.onRead = func() { forks += 3 } // processes 2 to 4, too late for the first list
	s := New(Sources{Processes: reader, Forks: func() int64 { return forks }}, testlog.Logger())
	defer s.Close()
	unseen := func() int64 {
		t.Helper()
		sample, err := s.Sample(t.Context(), time.Now(), Options{}, true)
		if err != nil {
			t.Fatal(err)
		}
		if sample.Machine.UnseenProcesses == nil {
			return 0
		}
		return *sample.Machine.UnseenProcesses
	}
	if n := unseen(); n != 0 {
		t.Errorf("%d unseen processes in the first sample, which has no interval", n)
	}
	reader.onRead = func() {}
	forks += 20
	if n := unseen(); n != 20 {
		t.Errorf("%d unseen processes, want 20", n)
	}
	if n := unseen(); n != 0 {
		t.Errorf("%d unseen processes, want none: nothing has started", n)
	}
}

// The server refuses a snapshot with a value beyond its limits, so such a value is left out.
func TestImpossibleValuesAreLeftOut(t *testing.T) {
	init := procfs.Process{
		ProcessKey: snapshot.ProcessKey{PID: 1, StartedAt: 1}, Identity: snapshot.Identity{Name: "init"}, Threads: 1,
	}
	huge := init
	huge.PID, huge.Memory = 2, snapshot.MaxSafeInteger
	s := New(Sources{
		Processes: &lists{list: [][]procfs.Process{{init, huge}}, onRead: func() {}}, Forks: func() int64 { return 1 },
	}, testlog.Logger())
	defer s.Close()
	sample, err := s.Sample(t.Context(), time.Now(), Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	one := snapshot.Snapshot{Timestamp: 1, Machine: sample.Machine}
	for i := range sample.Processes {
		one.Processes = append(one.Processes, sample.Processes[i].Sample(true))
	}
	if one.Processes[0].MemoryUsage == nil || one.Processes[1].MemoryUsage != nil {
		t.Errorf("the memory is %v and %v, want one that is known", one.Processes[0], one.Processes[1])
	}
	batch := snapshot.Batch{MachineID: "m", Snapshots: []snapshot.Snapshot{one}}
	if err := batch.Validate(); err != nil {
		t.Error(err)
	}
}

// A process whose command line cannot be read is named in each snapshot, and logged once.
func TestLateCommandLines(t *testing.T) {
	process := func(late bool) []procfs.Process {
		return []procfs.Process{
			{ProcessKey: snapshot.ProcessKey{PID: 1}, StartTicks: 5, Identity: snapshot.Identity{Name: "writer"},
				LateCommandLine: late},
			{ProcessKey: snapshot.ProcessKey{PID: 2}, StartTicks: 6},
		}
	}
	reader := &lists{onRead: func() {}}
	var log bytes.Buffer
	s := New(Sources{Processes: reader, Forks: func() int64 { return procfs.Unknown }},
		slog.New(slog.NewTextHandler(&log, nil)))
	defer s.Close()
	for i, late := range []bool{false, true, true, true, false, false} {
		reader.list = append(reader.list, process(late))
		sample, err := s.Sample(t.Context(), time.Now(), Options{}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(sample.Machine.Stale, "command line of process 1"); got != late {
			t.Errorf("sample %d: %q is stale", i, sample.Machine.Stale)
		}
	}
	const blocked, answers = "does not return the command line", "can be read again"
	if text := log.String(); strings.Count(text, blocked) != 1 || strings.Count(text, answers) != 1 ||
		strings.Count(text, "pid=1 name=writer") != 2 {
		t.Error(text)
	}
}
