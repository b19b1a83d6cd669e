//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// cpuCase is a workload that uses CPU time.
type cpuCase struct {
	name      string
	arguments []string
	threads   int  // of each process
	children  bool // many processes, whose sum must be right too
	direct    bool // the workload itself is measured, not its children
	half      bool // with half a core
	hold      bool // the process sleeps before it exits
}

// processCount is a number of processes, and the CPU time that each uses.
type processCount struct {
	n   int
	cpu string
}

// cpuCases returns the cases beside a load. The short ones have less to do.
func cpuCases(short bool, load cpuLoad) []cpuCase {
	one, half, third, nice := "1s", "500ms", "3s", "2s"
	if load.high {
		nice = "300ms" // it gets a hundredth of a core
	}
	threads, each, rest := 20, "100ms", "1151ms"
	sizes := []processCount{{300, "2.5ms"}, {100, "10ms"}, {200, "1ms"}}
	together := 0
	if load.high {
		together = 600
	} else {
		sizes = append(sizes, processCount{10_000, "300us"})
	}
	if short {
		one, half, third, nice = "300ms", "200ms", "400ms", "300ms"
		threads, each, rest = 8, "50ms", "150ms"
		sizes = sizes[:2]
		together = 100
	}
	list := []cpuCase{
		{name: "1 process, " + one, arguments: []string{"burn", "1", one}, threads: 1},
		{name: "1 process, nice 10, " + nice, arguments: []string{"burn", "1", nice, "nice"}, threads: 1},
		{
			name:      "1 process with half a core, " + third + ", then asleep",
			arguments: []string{"burn", "1", third, "hold"}, threads: 1, half: true, hold: true,
		},
		{
			name:      "1 process whose parent has exited, " + half,
			arguments: []string{"burn", "1", half, "orphan"}, threads: 1,
		},
		{
			name:      fmt.Sprintf("1 process, %d threads, %s each", threads, each),
			arguments: []string{"thread", strconv.Itoa(threads), each}, threads: threads, direct: true,
		},
		{
			name:      "1 process whose main thread exits first, 2 threads, " + rest + " each",
			arguments: []string{"leader", "2", rest}, threads: 2, direct: true,
		},
	}
	for _, size := range sizes {
		list = append(list, cpuCase{
			name:      fmt.Sprintf("%d processes, %s each, one after the other", size.n, size.cpu),
			arguments: []string{"burn", strconv.Itoa(size.n), size.cpu}, threads: 1, children: true,
		})
	}
	if together > 0 {
		list = append(list, cpuCase{
			name:      fmt.Sprintf("%d processes, 10 ms each, %d at once", together, atOnce),
			arguments: []string{"burn", strconv.Itoa(together), "10ms", "together"}, threads: 1, children: true,
		})
	}
	return list
}

// cpuLoad is the load with which the CPU cases run.
type cpuLoad struct {
	// high is whether the cases run at the same time, beside burners that use CPU time until the cases have ended.
	high    bool
	burners int
}

// highLoad is the high load. About half of it are the cases.
const highLoad = 30

// runLoads runs the CPU cases with a low and a high load.
func (b *bench) runLoads(ctx context.Context) (rows []row, err error) {
	// The first snapshots of this machine were awaited before, so this is the load of other programs.
	other, err := b.kernel.load(time.Now().Add(-2*time.Second), time.Now())
	if err != nil {
		return nil, err
	}
	loads := []cpuLoad{{}, {high: true, burners: max(0, highLoad/2-int(other))}}
	if b.short {
		loads = loads[:1]
	}
	for _, load := range loads {
		more, err := b.runLoad(ctx, load)
		if rows = append(rows, more...); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// cpuResult is the truth of a case.
type cpuResult struct {
	processes []burned
	skipped   error
}

func (b *bench) runLoad(ctx context.Context, load cpuLoad) ([]row, error) {
	cases := cpuCases(b.short, load)
	results := make([]cpuResult, len(cases))
	var busy *workload
	if load.high {
		var err error
		if busy, err = b.startWorkload(nil, "load", strconv.Itoa(load.burners)); err != nil {
			return nil, err
		}
		if _, err = busy.step(ctx); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	failures := make([]error, len(cases))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	for i := range cases {
		running.Go(func() {
			if results[i], failures[i] = b.runCPU(ctx, &cases[i]); failures[i] != nil {
				cancel()
			}
		})
		if !load.high && !b.short {
			running.Wait()
		}
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	ended := time.Now()
	// The parents and the other load stay until the last processes are stored.
	if _, err := b.machine.after(ctx, time.Now(), 3); err != nil {
		return nil, err
	}
	average, err := b.kernel.load(began, ended)
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(b.log, "the CPU cases with load %.0f took %s\n", average, ended.Sub(began).Round(time.Second))
	windows, err := b.machine.windows(ctx, began)
	if err != nil {
		return nil, err
	}
	if busy != nil {
		busy.stop()
	}
	rows, err := b.judgeCPU(ctx, load, cases, results, windows)
	for i := range rows {
		rows[i].load = strconv.Itoa(int(math.Round(average)))
	}
	return rows, err
}

// runCPU runs a case, and returns the CPU time of its processes.
func (b *bench) runCPU(ctx context.Context, c *cpuCase) (result cpuResult, err error) {
	w, err := b.startWorkload(nil, c.arguments...)
	if err != nil {
		return result, err
	}
	if c.half {
		group, err := halfCore()
		if err != nil {
			return cpuResult{skipped: err}, nil
		}
		defer func() {
			w.stop()
			err = errors.Join(err, group.remove())
		}()
		if err := group.add(w.pid()); err != nil {
			return result, err
		}
	}
	if c.direct {
		if err := w.begin(); err != nil {
			return result, err
		}
		one, err := w.wait(ctx)
		return cpuResult{processes: []burned{one}}, err
	}
	r, err := w.step(ctx)
	if err != nil {
		return result, err
	}
	if c.hold {
		if _, err := b.machine.after(ctx, time.Now(), 3); err != nil {
			return result, err
		}
		if r, err = w.step(ctx); err != nil {
			return result, err
		}
		if _, err := b.machine.after(ctx, time.Now(), 2); err != nil { // before its parent exits
			return result, err
		}
	}
	return cpuResult{processes: r.Processes}, nil
}

// judgeCPU compares the cases of a load with what is stored.
func (b *bench) judgeCPU(
	ctx context.Context, load cpuLoad, cases []cpuCase, results []cpuResult, windows []window,
) (rows []row, err error) {
	if len(windows) == 0 {
		return nil, errors.New("no snapshots were stored")
	}
	allowed, err := b.tolerance()
	if err != nil {
		return nil, err
	}
	name := filepath.Base(b.self)
	cpu := make(map[int]time.Duration)
	singleThreads := make(map[int]bool)
	for i := range cases {
		for _, p := range results[i].processes {
			singleThreads[p.PID] = cases[i].threads == 1
		}
	}
	var all time.Duration
	var ofThread, ofProcess float64
	truncated := false
	for i := range windows {
		w := &windows[i]
		all += w.cpu
		truncated = truncated || w.truncated
		for j := range w.usage {
			u := &w.usage[j]
			ofProcess = max(ofProcess, share(u.cpu(), w.interval*time.Duration(runtime.NumCPU())))
			if u.Name == name {
				cpu[u.PID] += u.cpu()
				if singleThreads[u.PID] {
					ofThread = max(ofThread, share(u.cpu(), w.interval))
				}
			}
		}
	}
	first, last := windows[0].from, windows[len(windows)-1].to
	if truncated { // then ask for each process
		for pid := range singleThreads {
			used, stored, err := b.machine.processCPU(ctx, pid, first, last)
			if err != nil {
				return nil, err
			}
			if stored {
				cpu[pid] = used
			}
		}
	}
	for i := range cases {
		rows = append(rows, cpuRows(&cases[i], &results[i], cpu, allowed)...)
	}
	rows = append(
		rows,
		limitRow("largest CPU time of a process with one thread, of the interval", ofThread),
		limitRow("largest CPU time of any process, of the interval on all cores", ofProcess),
	)
	if !load.high {
		return rows, nil
	}
	busy, err := b.kernel.busy(first, last)
	if err != nil {
		return rows, err
	}
	return append(rows, timeRow("all processes, beside the kernel's busy time", busy, all, busy*3/100)), nil
}

// tolerance is by how much a CPU time may differ from the truth: a part of it, or a time for each thread.
type tolerance struct {
	part   float64
	thread time.Duration
}

// tolerance returns the target of this run.
func (b *bench) tolerance() (tolerance, error) {
	if b.machine.reader == "bpf" && !b.short {
		return tolerance{0.01, 200 * time.Microsecond}, nil
	}
	tick, err := kernelTick()
	if b.short { // beside other tests, where a hypervisor can deliver a tick late
		tick *= 2
	}
	return tolerance{0.02, tick}, err
}

// of returns by how much the CPU time of a process may differ.
func (t tolerance) of(truth time.Duration, threads int) time.Duration {
	return max(t.ofSum(truth), t.thread*time.Duration(threads))
}

// ofSum returns by how much the sum of many processes may differ.
func (t tolerance) ofSum(truth time.Duration) time.Duration {
	return time.Duration(float64(truth) * t.part)
}

// cpuRows compares a case with the stored CPU time of each process. A process that is not in stored is not stored.
func cpuRows(c *cpuCase, result *cpuResult, stored map[int]time.Duration, target tolerance) []row {
	if result.skipped != nil {
		return []row{{name: c.name, skipped: result.skipped.Error()}}
	}
	var sum, storedSum time.Duration
	var worst row
	var worstExcess time.Duration
	missing := 0
	for _, p := range result.processes {
		sum, storedSum = sum+p.CPU, storedSum+stored[p.PID]
		allowed := target.of(p.CPU, c.threads)
		if excess := (stored[p.PID] - p.CPU).Abs() - allowed; worst.name == "" || excess > worstExcess {
			worst, worstExcess = timeRow(c.name+": the worst of them", p.CPU, stored[p.PID], allowed), excess
		}
		if _, ok := stored[p.PID]; !ok {
			missing++
		}
	}
	if !c.children {
		return []row{timeRow(c.name, sum, storedSum, target.of(sum, c.threads))}
	}
	total := timeRow(c.name, sum, storedSum, target.ofSum(sum))
	if missing > 0 {
		total.stored += fmt.Sprintf(" (%d are not stored)", missing)
	}
	return []row{total, worst}
}

func share(part, whole time.Duration) float64 { return float64(part) / float64(whole) }

func valueOrZero[T int64 | float64](v *T) T {
	if v == nil {
		return 0
	}
	return *v
}
