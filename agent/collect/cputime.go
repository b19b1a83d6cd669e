package collect

import (
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// cores returns the number of CPUs of this machine.
func cores() int {
	if n, err := cpu.Counts(true); err == nil && n > 0 {
		return n
	}
	return runtime.NumCPU()
}

// cpuSince returns the CPU time of a process since the previous sample. A process is not read at the very time of a
// sample, and some totals are in ticks. So it can seem to use more than the interval allows; the rest is left to the
// next one.
func (s *Sampler) cpuSince(p *procfs.Process, before *totals, interval time.Duration) time.Duration {
	limit := s.cpuLimit(p.OneThread && (before.oneThread || before.round == 0), interval)
	return min(max(p.CPU-before.cpu, 0), limit) // the kernel may correct a total downwards
}

// cpuLimit returns how much CPU time a process can use in an interval.
func (s *Sampler) cpuLimit(oneThread bool, interval time.Duration) time.Duration {
	if oneThread {
		return interval
	}
	return interval * time.Duration(s.cores)
}

// childCPU is the CPU time of the ended children of a process, and of theirs.
type childCPU struct {
	total time.Duration // at the last sample
	// unassigned is what it gained and what is not assigned to processes that ended. It is negative if too much is.
	unassigned time.Duration
	// late is negative: what was assigned to processes that it may have waited for after total was read. The next
	// sample gains that, if it waited for them at all.
	late time.Duration
	// exact is true if total is. carried is true if the difference to the processes that ended was left to this sample.
	// inexact is true if that difference is not exact.
	exact, carried, inexact bool
}

// gain updates the time at a sample.
func (c *childCPU) gain(total time.Duration, exact, first bool) {
	if c.total > 0 && exact != c.exact { // the source of the list has changed
		*c, first = childCPU{total: total, exact: exact}, true
	}
	c.exact = exact
	c.unassigned = min(c.unassigned, 2*procfs.TickError) + c.late // more is of processes that nobody saw
	c.late = 0
	if !first {
		c.unassigned += max(total-c.total, 0)
	}
	if !first && !exact && c.total == 0 && total > 0 {
		c.unassigned += procfs.TickError / 2 // which is not in the difference, as it is otherwise: 0 is not rounded
	}
	c.total = total
}
