package procfs

import (
	"bytes"
	"strconv"
	"time"
)

// ticks converts a time in ticks.
func ticks(n int64) time.Duration { return time.Duration(n) * time.Second / ticksPerSecond }

// cpuTime returns the CPU time of a process. The first number of schedstat is the exact time of its main thread, in
// nanoseconds. stat has the time of all threads, including those that have exited, in ticks. So the time of a process
// with one thread is that of the thread and of those that have exited, which is kept within what stat says.
func (p *cachedProcess) cpuTime(stat *procStat) time.Duration {
	total := ticks(stat.userTicks + stat.systemTicks)
	exact := threadTime(p.schedule)
	if stat.threads != 1 || exact == 0 {
		p.exitedCPU = 0
		return total
	}
	p.exitedCPU = min(max(p.exitedCPU, total-exact), max(total+TickError-exact, 0))
	if p.exitedCPU < TickError && p.last.Threads <= 1 {
		p.exitedCPU = 0 // stat was read later than schedstat
	}
	return exact + p.exitedCPU
}

// threadTime parses the first number of schedstat. It is 0 if there is none, or if the kernel does not count it.
func threadTime(schedstat []byte) time.Duration {
	number, _, _ := bytes.Cut(schedstat, []byte{' '})
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n)
}
