//go:build linux

// Command truth compares what the running product stores with what is true. It starts a server, an agent and workloads
// whose usage is known, reads the stored values through the API, and prints both. It exits with an error if a stored
// value misses its target. Run it as root with make bench-truth.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// settings are the parameters of a run.
type settings struct {
	server, agent string // paths of the programs
	self          string // path of this program, for the workloads
	reader        string // how the agent reads processes
	dir           string // folder for files, on a disk
	interval      time.Duration
	short         bool // with less work, and without other load
	log           io.Writer
}

func main() {
	if isWorkload() {
		if err := runWorkload(); err != nil {
			fmt.Fprintln(os.Stderr, "workload:", err)
			os.Exit(1)
		}
		return
	}
	s := settings{log: os.Stderr}
	flag.StringVar(&s.server, "server", "bin/snapwatch", "path of the server's program")
	flag.StringVar(&s.agent, "agent", "bin/snapwatch-agent", "path of the agent's program")
	flag.StringVar(&s.reader, "reader", "auto", "how the agent reads processes: auto, bpf or proc")
	flag.StringVar(&s.dir, "dir", "", "folder for temporary files, on a disk")
	flag.DurationVar(&s.interval, "interval", time.Second, "time between two snapshots")
	flag.BoolVar(&s.short, "short", false, "do less work, and leave out the other load")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := compare(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("stored values miss their targets")

// compare runs all cases and prints the table.
func compare(ctx context.Context, s settings) (err error) {
	if err := precondition(); err != nil {
		return err
	}
	if s.self, err = os.Executable(); err != nil {
		return err
	}
	rows, err := run(ctx, s)
	if err := errors.Join(err, printTable(os.Stdout, rows)); err != nil {
		return err
	}
	for _, r := range rows {
		if r.missed {
			return errMissed
		}
	}
	return nil
}

// run starts the product and runs all cases. If a case fails, it returns the rows of those before it.
func run(ctx context.Context, s settings) (rows []row, err error) {
	dir, err := os.MkdirTemp(s.dir, "snapwatch-truth-")
	if err != nil {
		return nil, fmt.Errorf("create a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	b := &bench{settings: s, dir: dir}
	defer b.kernel.start()()
	if b.machine, err = startMachine(ctx, s, dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.machine.stop()) }()
	defer b.stopWorkloads()
	first := []func(context.Context) ([]row, error){b.runLoads}
	if !s.short {
		first = append(first, b.runTitle) // mostly waits
	}
	if rows, err = inParallel(ctx, first...); err != nil {
		return rows, err
	}
	// These take hardly any CPU time, and mostly wait for snapshots.
	more, err := inParallel(ctx, b.runIO, b.runIdentities, b.runExecs, b.runResident, b.runTmpfs)
	return append(rows, more...), err
}

// inParallel calls functions at the same time, and returns the rows of all.
func inParallel(ctx context.Context, functions ...func(context.Context) ([]row, error)) (rows []row, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results, failures := make([][]row, len(functions)), make([]error, len(functions))
	var running sync.WaitGroup
	for i, function := range functions {
		running.Go(func() {
			if results[i], failures[i] = function(ctx); failures[i] != nil {
				cancel()
			}
		})
	}
	running.Wait()
	return slices.Concat(results...), errors.Join(failures...)
}

// bench runs cases beside a recorded machine.
type bench struct {
	settings
	machine *machine
	dir     string
	kernel  kernelLog

	mu      sync.Mutex
	running []*workload
}
