package procfs

import "os"

// Forks returns the number of processes and threads that have started since boot. It returns Unknown in a container,
// where the number is that of the whole machine and the process list is not.
func Forks() int64 {
	const initialNamespace = "pid:[4026531836]" // PROC_PID_INIT_INO of linux/proc_ns.h
	if own, err := os.Readlink("/proc/self/ns/pid"); err != nil || own != initialNamespace {
		return Unknown
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Unknown
	}
	return parseNumber(text, "\nprocesses ")
}
