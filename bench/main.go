// Command bench loads a real server with simulated agents on this machine. It reports response times, the
// queue, CPU usage and the latency of live views. Run it with make bench; BENCH="-agents 1000" changes the
// load. It fails if it loses an agent: one that cannot enrol, or whose posts are all refused.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/snapwatch/snapwatch/bench/product"
)

// load describes the simulated agents and the duration of the benchmark.
type load struct {
	agents, processes int
	interval          time.Duration
	duration          time.Duration
	busy              float64
	readers           int
}

func main() {
	var l load
	flag.IntVar(&l.agents, "agents", 100, "simulated machines")
	flag.IntVar(&l.processes, "processes", 300, "processes on each")
	flag.DurationVar(&l.interval, "interval", 5*time.Second, "time between two snapshots of a machine")
	flag.DurationVar(
		&l.duration, "duration", 2*time.Minute, "time to measure, after two intervals of warm-up; 0: only enrol",
	)
	flag.Float64Var(&l.busy, "busy", 0.1, "share of processes that change in an interval, 0 to 1")
	flag.IntVar(&l.readers, "readers", 0, "clients that send expensive reads without a pause")
	program := flag.String("program", "bin/snapwatch", "path of the server's program")
	flag.Parse()
	if l.duration != 0 && l.duration < 2*l.interval {
		fmt.Fprintln(os.Stderr, "bench: -duration must be 0, or at least twice -interval")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, l, *program); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l load, program string) (err error) {
	dir, err := os.MkdirTemp("", "snapwatch-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := product.StartServer(ctx, program, dir, os.Stderr, "--max-client-connections", "100000")
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := server.Stop(); err == nil {
			err = stopErr
		}
	}()
	fmt.Printf(
		"%d agents × %d processes every %s for %s; simulator, server and PostgreSQL share this machine\n",
		l.agents, l.processes, l.interval, l.duration,
	)

	admin, err := server.AdminToken(ctx)
	if err != nil {
		return err
	}
	key, err := server.EnrolmentKey(ctx)
	if err != nil {
		return err
	}
	fleet := newFleet(l, server.URL, key)
	took := fleet.enrol(ctx)
	if err := fleet.lost(false); err != nil {
		return err
	}
	fmt.Printf("%d agents enrolled and registered in %s (%.0f/s)\n",
		l.agents, took.Round(10*time.Millisecond), float64(l.agents)/took.Seconds())
	if l.duration == 0 {
		return nil
	}
	watcher, err := watch(ctx, server.URL, fleet.machineID(0), admin)
	if err != nil {
		return err
	}
	hostile, err := newReaders(ctx, server, l.readers)
	if err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { fleet.run(loading) })
	running.Go(func() { watcher.run(loading) })

	// The first snapshots are full ones of new machines, which is not the steady state.
	if err := product.Pause(ctx, 2*l.interval); err != nil {
		return err
	}
	fleet.reset()
	watcher.reset()
	running.Go(func() { hostile.run(loading) })
	before, err := measure(server.URL, server.PID, dir, admin)
	if err != nil {
		return err
	}
	began := time.Now()
	peakRows, err := watchQueue(ctx, server.URL, l.duration, admin)
	if err != nil {
		return err
	}
	after, err := measure(server.URL, server.PID, dir, admin)
	if err != nil {
		return err
	}
	took = time.Since(began)
	stop()
	running.Wait()
	if l.readers > 0 {
		hostile.report()
	}
	report(fleet, watcher, before, after, took, peakRows)
	return fleet.lost(true)
}
