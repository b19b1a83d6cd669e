// Command bench loads a real server with simulated agents on this machine. It reports response times, the
// queue, CPU usage and the latency of live views. Run it with make bench; BENCH="-agents 1000" changes the
// load.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// load describes the simulated agents and the duration of the benchmark.
type load struct {
	agents, processes int
	interval          time.Duration
	duration          time.Duration
	busy              float64
}

func main() {
	var l load
	flag.IntVar(&l.agents, "agents", 100, "simulated machines")
	flag.IntVar(&l.processes, "processes", 300, "processes on each")
	flag.DurationVar(&l.interval, "interval", 5*time.Second, "time between two snapshots of a machine")
	flag.DurationVar(&l.duration, "duration", 2*time.Minute, "time to measure, after two intervals of warm-up")
	flag.Float64Var(&l.busy, "busy", 0.1, "share of processes that change in an interval, 0 to 1")
	program := flag.String("program", "bin/snapwatch", "path of the server's program")
	flag.Parse()
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
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	server, url, err := serve(ctx, program, dir)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := stopServer(server); err == nil {
			err = stopErr
		}
	}()
	fmt.Printf(
		"%d agents × %d processes every %s for %s; simulator, server and PostgreSQL share this machine\n",
		l.agents, l.processes, l.interval, l.duration,
	)

	secrets, err := createCredentials(ctx, program, dir)
	if err != nil {
		return err
	}
	fleet := newFleet(l, url, secrets.key)
	watcher, err := watch(ctx, url, fleet.machineID(0), secrets.admin)
	if err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { fleet.run(loading) })
	running.Go(func() { watcher.run(loading) })

	// The first snapshots are full ones of new machines, which is not the steady state.
	if err := pause(ctx, 2*l.interval); err != nil {
		return err
	}
	fleet.reset()
	watcher.reset()
	before, err := measure(url, server.Process.Pid, dir, secrets.admin)
	if err != nil {
		return err
	}
	began := time.Now()
	peakRows, err := watchQueue(ctx, url, l.duration, secrets.admin)
	if err != nil {
		return err
	}
	after, err := measure(url, server.Process.Pid, dir, secrets.admin)
	if err != nil {
		return err
	}
	took := time.Since(began)
	stop()
	running.Wait()
	report(fleet, watcher, before, after, took, peakRows)
	return nil
}

// serve starts the server with dir as its data directory.
func serve(ctx context.Context, program, dir string) (*exec.Cmd, string, error) {
	path, err := filepath.Abs(program)
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(
		path, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--max-client-connections", "100000",
	)
	cmd.Env = append(os.Environ(), "DATABASE_URL=")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches only the benchmark
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start the server: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "is up: ")
	if err != nil || !ok || ctx.Err() != nil {
		_ = stopServer(cmd)
		return nil, "", fmt.Errorf("the server did not start: %q", line)
	}
	return cmd, url, nil
}

// credentials are the secrets for the server.
type credentials struct {
	admin string // token of an administrator
	key   string // enrolment key of the agents
}

func createCredentials(ctx context.Context, program, dir string) (c credentials, err error) {
	for into, args := range map[*string][]string{
		&c.admin: {"token", "add", "bench", "--role", "admin"},
		&c.key:   {"key", "add", "bench", "--uses", "0"},
	} {
		cmd := exec.CommandContext(ctx, program, append(args, "--data-dir", dir)...)
		cmd.Env = append(os.Environ(), "DATABASE_URL=")
		out, err := cmd.Output()
		if err != nil {
			return c, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
		*into = strings.TrimSpace(string(out))
	}
	return c, nil
}

// stopServer stops the server in order.
func stopServer(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return cmd.Wait()
}

// pause waits for d, or returns the error of ctx if it ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
