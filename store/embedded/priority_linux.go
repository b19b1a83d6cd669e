package embedded

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// readNiceness is the niceness of processes of PostgreSQL that only read. Beside another busy program on its CPU, such
// a process still gets a quarter of it; with a niceness of 15, it would get a thirtieth, and reads would time out.
// Commits were not faster with 15.
const readNiceness = 5

// LowerPriority gives a process of the cluster less of the CPU than the others while these need it. Without it, slow
// queries of users take CPU time from the writer. A process of PostgreSQL is in a session of its own, and with
// autogroups the kernel first divides the CPU among sessions, so the session gets the same niceness.
//
// One CPU is left to the others if there are several. While all CPUs are busy, a process that wakes up waits for the
// next tick of the kernel, 4 ms at 250 Hz, whatever the niceness of those that run. A commit wakes up ten times.
func (c *Cluster) LowerPriority(pid uint32) {
	err := syscall.Setpriority(syscall.PRIO_PROCESS, int(pid), readNiceness)
	// The file is absent without autogroups.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), fmt.Append(nil, readNiceness), 0)
	if err == nil {
		err = leaveOneCPU(int(pid))
	}
	if err != nil {
		c.cfg.Logger.Warn("could not lower the priority of reads", "pid", pid, "err", err)
	}
}

// leaveOneCPU gives a process all CPUs of this process but the first, if there are several.
func leaveOneCPU(pid int) error {
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &cpus); err != nil {
		return err
	}
	if cpus.Count() < 2 {
		return nil
	}
	first := 0
	for !cpus.IsSet(first) {
		first++
	}
	cpus.Clear(first)
	return unix.SchedSetaffinity(pid, &cpus)
}
