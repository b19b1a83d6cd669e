//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// TestStoredValuesAreTrue is the short form of make bench-truth: with each reader, it runs the product and smaller
// workloads, beside whatever else runs on this machine.
func TestStoredValuesAreTrue(t *testing.T) {
	if err := precondition(); err != nil {
		t.Skip(err)
	}
	programs := t.TempDir()
	// The workloads are not the test binary, because the race detector takes CPU time of its own.
	build := exec.CommandContext(
		t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", programs+"/",
		"../../cmd/snapwatch", "../../cmd/snapwatch-agent", ".",
	)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, reader := range []string{"auto", "proc"} { // auto is BPF, except where the kernel lacks it
		t.Run(reader, func(t *testing.T) { testStoredValues(t, programs, reader) })
	}
}

func testStoredValues(t *testing.T, programs, reader string) {
	ctx, cancel := testwait.Context(t)
	defer cancel()
	rows, err := run(ctx, settings{
		server:   filepath.Join(programs, "snapwatch"),
		agent:    filepath.Join(programs, "snapwatch-agent"),
		self:     filepath.Join(programs, "truth"),
		reader:   reader,
		interval: time.Second,
		short:    true,
		log:      testlog.Writer(),
	})
	if err != nil {
		t.Error(err)
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			switch {
			case r.skipped != "":
				t.Skip(r.skipped)
			case r.missed:
				t.Errorf("stored %s, the truth is %s: %s (%s)", r.stored, r.truth, r.diff, r.allowed)
			}
		})
	}
}

// A row misses its target if the sum, or one of the processes, differs by more than is allowed.
func TestCPURows(t *testing.T) {
	const tick = 4 * time.Millisecond
	type milliseconds []int
	for name, test := range map[string]struct {
		threads       int
		children      bool
		truth, stored milliseconds // of each process
		missed        []bool       // of each row
	}{
		"a tick too much":       {1, false, milliseconds{100}, milliseconds{104}, []bool{false}},
		"more than a tick":      {1, false, milliseconds{100}, milliseconds{105}, []bool{true}},
		"a tick of each thread": {20, false, milliseconds{2002}, milliseconds{1922}, []bool{false}},
		"two percent":           {1, false, milliseconds{1000}, milliseconds{980}, []bool{false}},
		"not stored":            {1, false, milliseconds{1000}, nil, []bool{true}},
		"ticks of children":     {1, true, milliseconds{2, 2}, milliseconds{4, 0}, []bool{false, false}},
		"a wrong sum":           {1, true, milliseconds{2, 2}, milliseconds{2}, []bool{true, false}},
		"a wrong child":         {1, true, milliseconds{9, 9}, milliseconds{18, 0}, []bool{false, true}},
		"children are right":    {1, true, milliseconds{9, 8}, milliseconds{9, 8}, []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var result cpuResult
			for pid, ms := range test.truth {
				result.processes = append(result.processes, burned{pid, time.Duration(ms) * time.Millisecond})
			}
			stored := make(map[int]time.Duration)
			for pid, ms := range test.stored {
				stored[pid] = time.Duration(ms) * time.Millisecond
			}
			target := tolerance{0.02, tick}
			rows := cpuRows(&cpuCase{threads: test.threads, children: test.children}, &result, stored, target)
			if len(rows) != len(test.missed) {
				t.Fatalf("%d rows, want %d", len(rows), len(test.missed))
			}
			for i, r := range rows {
				if r.missed != test.missed[i] {
					t.Errorf("row %d is %+v", i, r)
				}
			}
		})
	}
}
