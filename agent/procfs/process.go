package procfs

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Unknown is a total that cannot be read.
const Unknown = -1

// TickError is how much a total of user and system time can be too low on Linux, which counts them in hundredths of a
// second: each is rounded down.
const TickError = 20 * time.Millisecond

// Process is a process as the operating system shows it. Amounts are totals since the start of the process.
type Process struct {
	snapshot.ProcessKey
	snapshot.Identity
	// StartTicks is the kernel's own start time, which does not change when the clock is set: ticks of 10 ms since
	// boot, or milliseconds since 1970 on systems other than Linux.
	StartTicks int64
	// State is the letter that ps prints; empty if unknown.
	State string
	CPU   time.Duration
	// ChildCPU is the CPU time of the children that the process has waited for, and of theirs. It is up to TickError
	// too low on Linux, unless ExactChildCPU is true, and 0 elsewhere.
	ChildCPU      time.Duration
	ExactChildCPU bool
	// OneThread is true if the process has had one thread since it was first read, or since the list before.
	OneThread bool
	// Memory is the resident memory, in bytes.
	Memory  int64
	Threads int32
	// ReadBytes, WriteBytes and OpenFiles are Unknown where the agent lacks the permission. The bytes are those of the
	// process itself: on Linux, without those of the children that it has waited for.
	ReadBytes, WriteBytes int64
	OpenFiles             int32
	// LateCommandLine is true if the kernel blocks the read of the command line. Name and CommandLine are then the last
	// known ones.
	LateCommandLine bool
}

// ID identifies a process until the machine reboots, also if the clock is set.
type ID struct {
	PID        int32
	StartTicks int64
}

// ID returns the ID of the process.
func (p *Process) ID() ID { return ID{PID: p.PID, StartTicks: p.StartTicks} }

// Options selects the optional values of a process. It is comparable.
type Options struct {
	CommandLines, Cgroups, IO, OpenFiles bool
}

// everything selects all values.
func everything() Options {
	return Options{CommandLines: true, Cgroups: true, IO: true, OpenFiles: true}
}
