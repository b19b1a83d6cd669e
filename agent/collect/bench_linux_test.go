package collect

import (
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// BenchmarkSample measures the CPU time of a whole sample per process: everything that the agent does before it
// encodes. One sample in twelve is for a full snapshot. procfs.BenchmarkReaders has the share of the process list.
func BenchmarkSample(b *testing.B) {
	processes := agenttest.StartProcesses(b, 500, 50)
	scrubber, err := procfs.NewScrubber(nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.TempDir(), scrubber, nil, nil, testlog.Logger())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	n := 0
	agenttest.CPUPerProcess(b, processes, 200*time.Millisecond, func() {
		n++
		if _, err := s.Sample(b.Context(), time.Now(), OptionsOf(snapshot.Config{}), n%12 == 0); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkShortLivedProcesses measures how long it takes to add as many ended processes to a sample as it can have.
func BenchmarkShortLivedProcesses(b *testing.B) {
	list := make([]exits.Process, maxShortLived)
	for i := range list {
		list[i] = exits.Process{
			PID: int32(i + 10), Started: snapshot.Time(i + 1), Complete: true,
			CPU: time.Duration(i) * time.Microsecond, CPUMax: time.Duration(i+4000) * time.Microsecond,
			Identity: snapshot.Identity{PPID: 1, Name: "cc1", CommandLine: fmt.Sprintf("/usr/bin/cc1 -O2 %d.c", i)},
		}
	}
	listed := &totals{key: snapshot.ProcessKey{PID: 1}, childCPU: childCPU{unassigned: 10 * time.Second}}
	for b.Loop() {
		s := &Sampler{
			exits: fixedExits{list}, totals: map[procfs.ID]*totals{{PID: 1}: listed}, cores: 2,
			now: clocks{monotonic: time.Now()},
		}
		out := Sample{Interval: time.Minute}
		if s.addExited(&out, Options{}, false); len(out.Exited) != maxShortLived {
			b.Fatal(len(out.Exited))
		}
	}
}
