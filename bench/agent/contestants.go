package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// contestant is a program that records processes. scrape is the URL to request at the interval if the program does
// nothing by itself, and "" otherwise.
type contestant struct {
	name    string
	command []string
	env     []string
	scrape  string
}

// contestants returns the agent and similar programs. They are configured to read the process list at the interval, and
// to do as little else as possible.
func contestants(s settings, dir string, server *server) []contestant {
	interval := strconv.Itoa(int(s.interval.Seconds()))
	names := filepath.Join(dir, "process-exporter.yml")
	_ = os.WriteFile(names, []byte("process_names:\n  - name: \"{{.PID}} {{.Comm}}\"\n    cmdline: ['.+']\n"), 0o600)
	const psutil = `
import psutil, time, sys
while True:
    began = time.time()
    for p in psutil.process_iter(["pid", "ppid", "name", "cmdline", "username", "status", "cpu_times", "memory_info",
                                  "num_threads", "create_time", "io_counters"]): pass
    time.sleep(max(0, float(sys.argv[1]) - (time.time() - began)))
`
	itself, _ := os.Executable()
	agent := func(reader string) contestant {
		return contestant{
			name: "snapwatch-agent, --reader=" + reader,
			command: []string{
				s.agent, "--server", server.url, "--state-dir", filepath.Join(dir, reader), "--machine-id", "bench",
				"--reader", reader,
			},
			env: []string{"SNAPWATCH_TOKEN=benchmark"},
		}
	}
	return []contestant{
		{name: "a bare reader of /proc", command: []string{itself, "-bare", s.interval.String()}},
		agent("bpf"),
		agent("proc"),
		{name: "atop (-w)", command: []string{"atop", "-w", filepath.Join(dir, "atop.raw"), interval}},
		{name: "psutil", command: []string{"/usr/bin/python3", "-c", psutil, interval}},
		{
			name: "Glances (process list)",
			command: []string{
				"glances", "--stdout", "processlist", "-t", interval,
				"--disable-plugin", "all", "--enable-plugin", "processcount,processlist",
			},
		},
		{
			name: "process-exporter",
			command: []string{
				"prometheus-process-exporter", "-config.path", names, "-web.listen-address", "127.0.0.1:19256",
			},
			scrape: "http://127.0.0.1:19256/metrics",
		},
	}
}

// measured is the cost of a program.
type measured struct {
	contestant
	processes  int
	perProcess float64 // microseconds of CPU time per process and sample
	percent    float64 // CPU time, of one core
	resident   int64
	// perShort is the microseconds of CPU time per process that starts and ends. The rest counts those processes: how
	// many were recorded with their command line, without one, and only counted.
	perShort              float64
	withLine, withoutLine int
	unlisted              int64
}

// measure runs a program for the lead time, and then measures it for the given number of samples.
func measure(ctx context.Context, s settings, one contestant) (*measured, error) {
	cmd := exec.CommandContext(ctx, one.command[0], one.command[1:]...)
	cmd.Env = append(os.Environ(), one.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	wait := func(d time.Duration) error {
		for end := time.Now().Add(d); ; {
			if one.scrape != "" {
				if response, err := http.Get(one.scrape); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			}
			left := min(time.Until(end), s.interval)
			if left <= 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(left):
			}
		}
	}
	if err := wait(s.lead); err != nil {
		return nil, err
	}
	before, err := cpuTime(cmd.Process.Pid)
	if err != nil {
		return nil, fmt.Errorf("the program has exited: %s", log.String())
	}
	m := &measured{contestant: one, processes: running()}
	length := time.Duration(s.samples) * s.interval
	if err := wait(length); err != nil {
		return nil, err
	}
	after, err := cpuTime(cmd.Process.Pid)
	if err != nil {
		return nil, fmt.Errorf("the program has exited: %s", log.String())
	}
	spent := after - before
	if err := m.measureShort(s, cmd.Process.Pid, spent, length, wait); err != nil {
		return nil, err
	}
	m.perProcess = spent.Seconds() * 1e6 / float64(s.samples*m.processes)
	m.percent = 100 * spent.Seconds() / length.Seconds()
	m.resident = resident(cmd.Process.Pid)
	return m, nil
}

// measureShort measures what s.short processes that start and end cost more than what the program has spent in a time
// without them.
func (m *measured) measureShort(
	s settings, pid int, spent, length time.Duration, wait func(time.Duration) error,
) error {
	if s.short == 0 {
		return nil
	}
	began := time.Now()
	before, err := cpuTime(pid)
	if err != nil {
		return err
	}
	for i := range s.short {
		if err := exec.Command("true", shortArgument, strconv.Itoa(i)).Run(); err != nil {
			return fmt.Errorf("run a short process: %w", err)
		}
	}
	fmt.Fprintf(os.Stderr, "%d processes took %s\n", s.short, time.Since(began).Round(time.Millisecond))
	if err := wait(3 * s.interval); err != nil { // until the last ones are recorded
		return err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return err
	}
	usual := time.Duration(float64(spent) * time.Since(began).Seconds() / length.Seconds())
	m.perShort = (after - before - usual).Seconds() * 1e6 / float64(s.short)
	return nil
}

// shortArgument marks the processes of measureShort.
const shortArgument = "snapwatch-bench-short"

// cpuTime returns the time that the running threads of a process have used.
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("process %d has exited", pid)
	}
	var total time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		var nanoseconds int64
		if _, err := fmt.Sscan(string(text), &nanoseconds); err == nil {
			total += time.Duration(nanoseconds)
		}
	}
	return total, nil
}

// resident returns the resident memory of a process, in bytes.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
