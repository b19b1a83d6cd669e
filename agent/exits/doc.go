// Package exits reports processes that have exited since the last sample, including those that started and exited
// between two samples, with everything they used.
//
// On Linux the kernel sends a record for each thread that exits (taskstats), which is how atop sees such processes. The
// command line of a process that exits early is read when it calls exec (proc connector). Both need CAP_NET_ADMIN on
// the machine itself. On other systems Watch fails.
package exits

import "github.com/snapwatch/snapwatch/snapshot"

// Limits on the processes that wait to be fetched.
const (
	// MaxPending bounds the exited processes.
	MaxPending = 4000
	// maxPendingText bounds their command lines, in bytes.
	maxPendingText = 1 << 20
)

// Process is a process that has exited, with its usage over its whole life.
type Process struct {
	PID      int32
	Identity snapshot.Identity
	// Started is accurate to a fraction of a second.
	Started snapshot.Time
	CPUMS   int64
	// PeakMemory, ReadBytes and WriteBytes are in bytes.
	PeakMemory, ReadBytes, WriteBytes int64
	// Complete is true if the amounts include every thread: they were all watched from the start, or there was one.
	Complete bool
}
