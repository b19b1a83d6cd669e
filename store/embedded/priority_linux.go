package embedded

import (
	"fmt"
	"os"
	"syscall"
)

// readNiceness is the niceness of processes of PostgreSQL that only read.
const readNiceness = 15

// LowerPriority gives a process of the cluster less of the CPU than the others while these need it. Without it, slow
// queries of users take CPU time from the writer. A process of PostgreSQL is in a session of its own, and with
// autogroups the kernel first divides the CPU among sessions, so the session gets the same niceness.
func (c *Cluster) LowerPriority(pid uint32) {
	err := syscall.Setpriority(syscall.PRIO_PROCESS, int(pid), readNiceness)
	// The file is absent without autogroups.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), fmt.Append(nil, readNiceness), 0)
	if err != nil {
		c.cfg.Logger.Warn("could not lower the priority of reads", "pid", pid, "err", err)
	}
}
