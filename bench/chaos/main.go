//go:build linux

// Command chaos runs the product under load, injects faults one after the other, and measures how long it takes to
// recover. At the end it compares every acknowledged snapshot with what is stored. It exits with an error if a snapshot
// is lost, stored twice or wrong, if a recovery takes too long, or if goroutines, connections or memory have grown. Run
// it with make chaos. All of it is on the loopback interface; filling a disk needs root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// settings are the parameters of a run.
type settings struct {
	program, agent    string // paths of the programs
	agents, processes int    // simulated machines, and processes on each
	interval          time.Duration
	hold              time.Duration // how long a fault lasts that does not end by itself
	seed              uint64
	duration          time.Duration
	starts            int // interrupted first starts
	only              []string
	log               io.Writer
}

// logf writes a line to the log of the programs.
func (s *settings) logf(format string, arguments ...any) {
	_, _ = fmt.Fprintf(s.log, "chaos: "+time.Now().UTC().Format(time.RFC3339Nano)+" "+format+"\n", arguments...)
}

func main() {
	var s settings
	flag.StringVar(&s.program, "program", "bin/snapwatch", "path of the server's program")
	flag.StringVar(&s.agent, "agent", "bin/snapwatch-agent", "path of the agent's program")
	flag.IntVar(&s.agents, "agents", 8, "simulated machines")
	flag.IntVar(&s.processes, "processes", 30, "processes on each")
	flag.DurationVar(&s.interval, "interval", 300*time.Millisecond, "pause between two snapshots of a machine")
	flag.DurationVar(&s.hold, "hold", 8*time.Second, "how long a fault lasts that does not end by itself")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "seed of the faults' order and of the snapshots")
	flag.DurationVar(&s.duration, "duration", 10*time.Minute, "maximum time of the whole run")
	flag.IntVar(&s.starts, "starts", 50, "interrupted first starts, if there is time")
	only := flag.String("only", "", "comma-separated names of faults; empty for all")
	logPath := flag.String("log", "bin/chaos.log", "file for the logs of the programs")
	flag.Parse()
	if *only != "" {
		s.only = strings.Split(*only, ",")
	}
	log, err := os.Create(*logPath)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	s.log = log
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	result, err := run(ctx, s)
	stop()
	if err = errors.Join(err, result.print(os.Stdout, s), result.check()); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: seed %d, logs in %s: %v\n", s.seed, *logPath, err)
		os.Exit(1)
	}
}
