package procfs

import "github.com/snapwatch/snapwatch/snapshot"

// Unknown is a total that cannot be read.
const Unknown = -1

// maxCommandLine is the longest command line that is recorded, in bytes; the rest is cut off.
const maxCommandLine = 4096

// Process is a process as the operating system shows it. Amounts are totals since the start of the process.
type Process struct {
	snapshot.ProcessKey
	snapshot.Identity
	// State is the letter that ps prints; empty if unknown.
	State string
	CPUMS int64
	// Memory is the resident memory, in bytes.
	Memory  int64
	Threads int32
	// ReadBytes, WriteBytes and OpenFiles are Unknown where the agent lacks the permission.
	ReadBytes, WriteBytes int64
	OpenFiles             int32
}

// Options selects the optional values of a process. It is comparable.
type Options struct {
	CommandLines, Cgroups, IO, OpenFiles bool
}

// everything selects all values.
func everything() Options {
	return Options{CommandLines: true, Cgroups: true, IO: true, OpenFiles: true}
}
