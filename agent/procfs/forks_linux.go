package procfs

import (
	"os"

	"github.com/snapwatch/snapwatch/agent/procevents"
)

// Forks returns the number of processes and threads that have started since boot. It returns Unknown in a container,
// where the number is that of the whole machine and the process list is not.
func Forks() int64 {
	if !procevents.InInitialPIDNamespace() {
		return Unknown
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Unknown
	}
	return parseNumber(text, "\nprocesses ")
}
