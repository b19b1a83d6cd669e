package exits

import (
	"time"

	"golang.org/x/sys/unix"
)

// tick returns the time between two ticks of a CPU.
func tick() time.Duration {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil || resolution.Nano() <= 0 {
		return 10 * time.Millisecond // HZ=100, the longest
	}
	return time.Duration(resolution.Nano())
}

// After its record is made, the last thread of a process removes the memory of the process, which is part of its CPU
// time. On a CPU of 2023 that took 40 to 55 ns per KiB of peak memory for small programs, and less for large ones. The
// peak memory of small processes is inexact, and at a load of 30 the removal of one with 2 MiB took a millisecond.
const (
	removalPerKiB  = 45 * time.Nanosecond
	maxRemoval     = 2 * time.Millisecond
	longestRemoval = 3 * removalPerKiB // per KiB
)

// addCPU adds the CPU time of a thread. The kernel adds time to ran when the CPU switches to another thread and at each
// tick, so up to a tick is missing. A thread that never slept ran or waited for a CPU all its life.
func (t *threadTotals) addCPU(r *exitRecord, tick time.Duration) {
	missing := min(max(r.alive-r.waited-r.ran, 0), tick)
	t.ticks += tick
	t.cpuMin += r.ran
	t.cpuMax += r.ran + missing
	t.cpu += r.ran
	if r.sleeps == 0 {
		t.cpu += missing
	}
	if r.last {
		kib := time.Duration(max(t.peakMemory, r.peakMemory) >> 10)
		t.cpu += min(kib*removalPerKiB, maxRemoval)
		t.cpuMax += max(kib*longestRemoval, maxRemoval)
		if kib*removalPerKiB < tick/4 { // the removal takes no longer than the rest of a tick
			t.cpuMax = min(t.cpuMax, t.cpuMin+t.ticks)
			t.cpu = min(t.cpu, t.cpuMax)
		}
	}
}

// Thread is what the kernel reports when the last thread of a process exits. Its times are as in exitRecord.
type Thread struct {
	Ran, Alive, Waited time.Duration
	Sleeps             int64
	PeakMemory         int64 // of the process, in bytes
}

// CPUTime returns the CPU time that the thread has used when it is removed, which is between low and high.
func (t Thread) CPUTime() (low, cpu, high time.Duration) {
	totals := threadTotals{}
	record := exitRecord{
		last: true, ran: t.Ran, alive: t.Alive, waited: t.Waited, sleeps: t.Sleeps, peakMemory: t.PeakMemory,
	}
	totals.addCPU(&record, tick())
	return totals.cpuMin, totals.cpu, totals.cpuMax
}
