// Package exits reports processes that have exited since the last sample, including those that started and exited
// between two samples, with everything they used.
//
// On Linux the kernel sends a record for each thread that exits (taskstats), which is how atop sees such processes. The
// command line of a process that exits early is read when it calls exec (proc connector). Both need CAP_NET_ADMIN on
// the machine itself. On other systems Watch fails.
package exits

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Limits on the processes that wait to be fetched.
const (
	// MaxPending bounds the exited processes.
	MaxPending = 20_000
	// MaxPendingText bounds their command lines, in bytes; see procfs.LineBudget.
	MaxPendingText = 4 << 20
)

// Process is a process that has exited, with its usage over its whole life.
type Process struct {
	PID int32
	// StartTicks is the kernel's own start time, as in procfs.Process; 0 if unknown.
	StartTicks int64
	snapshot.Identity
	// Started is accurate to a few milliseconds. It is up to a second too late if the start was not seen.
	Started snapshot.Time
	// Began is the start by the monotonic clock, for comparisons that do not depend on the clock of the machine.
	Began time.Time
	// CPU is the best estimate of the CPU time, which is between CPUMin and CPUMax. The kernel's records lack what a
	// thread used after the last tick of its CPU, and the time in which the kernel removes the process.
	CPU, CPUMin, CPUMax time.Duration
	// PeakMemory, ReadBytes and WriteBytes are in bytes. PeakMemory is procfs.Unknown if it is not known.
	PeakMemory, ReadBytes, WriteBytes int64
	// Exit is how it ended.
	Exit snapshot.ExitStatus
	// Complete is true if the amounts include every thread, because the process was watched from its start. Those of a
	// process that had only one thread are complete in any case.
	Complete bool
	// LastKnown is true if the process was ending when the source was closed. Its end and its last values were not
	// reported.
	LastKnown bool
}
