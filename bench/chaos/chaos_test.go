//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// shortFaults are the faults of the short form.
var shortFaults = []string{
	"kill-both", "postgres-frozen", "postgres-read-only", "lock", "listen-ended", "hostile-clients", replicasName,
	firstStartName,
}

// TestChaos is the short form of make chaos. It fails if the service does not recover from a fault, but not if that
// takes longer than usual, because other tests run beside it.
func TestChaos(t *testing.T) {
	programs := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", programs+"/",
		"../../cmd/snapwatch", "../../cmd/snapwatch-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	ctx, cancel := testwait.Context(t)
	defer cancel()
	s := settings{
		program: filepath.Join(programs, "snapwatch"), agent: filepath.Join(programs, "snapwatch-agent"),
		agents: 4, processes: 20, interval: 100 * time.Millisecond, hold: time.Second, seed: 1, starts: 2,
		duration: 10 * time.Minute, only: shortFaults, log: testlog.Writer(),
	}
	result, err := run(ctx, s)
	var table strings.Builder
	err = errors.Join(err, result.print(&table, s), result.checkData())
	t.Log("\n" + table.String())
	if err != nil {
		t.Error(err)
	}
	if c := result.comparison; c.acknowledged == 0 || c.recorded == 0 {
		t.Errorf("too little was compared: %+v", c)
	}
}
