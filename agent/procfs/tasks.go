package procfs

import "time"

// Task has the values of a process that a TaskSource reads. Amounts are totals since the start of the process.
type Task struct {
	PID, PPID             int32
	StartTicks            int64  // see Process
	Comm                  string // the kernel's name, cut after 15 bytes
	UID                   uint32 // effective
	Flags                 int64  // the kernel's, as in /proc/PID/stat
	State                 string
	Threads               int32
	OpenFiles             int32 // Unknown for too many to count
	CPU                   time.Duration
	ChildCPU              time.Duration // of the children that it has waited for, and of theirs
	OneThread             bool          // since the list before, no other thread ran
	Pages                 int64         // in memory
	ReadBytes, WriteBytes int64         // of the process itself
	// ExecID changes with each call of exec, and CgroupsKey when the process is moved to another control group.
	// Processes with the same key are in the same control groups.
	ExecID, CgroupsKey uint64
}

// TaskSource reads the values of all processes at once.
type TaskSource interface {
	// Tasks returns the values of all processes. The list is valid until the next call.
	Tasks() ([]Task, error)
}
