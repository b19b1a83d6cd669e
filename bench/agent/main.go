// Command agent measures the cost of recording every process on this machine. It runs the agent and the similar
// programs that are installed, one after the other, with the same set of processes. Run it with make bench-agent.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"
)

// settings are the parameters of a measurement.
type settings struct {
	idle, busy     int
	interval, lead time.Duration
	samples        int
	short          int
	agent          string
}

func main() {
	var s settings
	flag.IntVar(&s.idle, "idle", 500, "number of processes that sleep")
	flag.IntVar(&s.busy, "busy", 50, "number of processes that work for a moment ten times a second")
	flag.DurationVar(&s.interval, "interval", 5*time.Second, "time between two samples")
	flag.IntVar(&s.samples, "samples", 24, "number of samples to measure for each program")
	flag.DurationVar(&s.lead, "lead", 12*time.Second, "start-up time of each program, not measured")
	flag.IntVar(&s.short, "short", 0, "number of processes that start and end while each program runs")
	flag.StringVar(&s.agent, "agent", "bin/snapwatch-agent", "path of the agent")
	bare := flag.Duration("bare", 0, "run as the bare reader: only read the files of all processes, at this interval")
	flag.Parse()
	if *bare > 0 {
		readBarely(*bare)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "snapwatch-bench-agent-")
	if err != nil {
		return fmt.Errorf("create a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	stopProcesses, err := startProcesses(s.idle, s.busy)
	if err != nil {
		return err
	}
	defer stopProcesses()
	server := startServer(s.interval)
	defer server.close()
	var list []*measured
	for _, one := range contestants(s, dir, server) {
		if _, err := exec.LookPath(one.command[0]); err != nil {
			fmt.Fprintf(os.Stderr, "%s is not installed and is skipped\n", one.name)
			continue
		}
		fmt.Fprintf(os.Stderr, "%s for %s…\n", one.name, s.lead+time.Duration(s.samples)*s.interval)
		m, err := measure(ctx, s, one)
		if err != nil {
			return fmt.Errorf("measure %s: %w", one.name, err)
		}
		m.withLine, m.withoutLine, m.unlisted = server.takeShort()
		list = append(list, m)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(
		table, "program\tCPU per process and sample, µs\tratio to the bare reader\tCPU, % of a core\tresident, MiB\t"+
			"CPU per short process, µs\trecorded with a command line, without, only counted",
	)
	for _, m := range list {
		_, _ = fmt.Fprintf(
			table, "%s\t%.1f\t%.1f\t%.2f\t%.1f\t%.1f\t%d, %d, %d\n", m.name, m.perProcess,
			m.perProcess/list[0].perProcess, m.percent, float64(m.resident)/(1<<20), m.perShort, m.withLine,
			m.withoutLine, m.unlisted,
		)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	fmt.Printf(
		"\nagent: %.2f bytes sent per process and sample (%d posts, %d snapshots, compressed bodies)\n",
		server.perSample(running()), server.posts.Load(), server.snapshots.Load(),
	)
	if info, err := os.Stat(s.agent); err == nil {
		fmt.Printf("agent: the size of the program is %.2f MB\n", float64(info.Size())/1e6)
	}
	return nil
}

// startProcesses starts the processes to record.
func startProcesses(idle, busy int) (stop func(), err error) {
	var children []*exec.Cmd
	stop = func() {
		for _, child := range children {
			_ = child.Process.Kill()
			_ = child.Wait()
		}
	}
	for i := range idle + busy {
		child := exec.Command("sleep", "100000")
		if i < busy {
			child = exec.Command(
				"perl", "-e", "while (1) { select(undef, undef, undef, 0.1); for (my $i = 0; $i < 5000; $i++) {} }",
			)
		}
		if err := child.Start(); err != nil {
			stop()
			return nil, fmt.Errorf("start a process to record: %w", err)
		}
		children = append(children, child)
	}
	return stop, nil
}

// running returns the number of processes on the machine.
func running() int {
	list, _ := filepath.Glob("/proc/[0-9]*")
	return len(list)
}
