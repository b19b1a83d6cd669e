package snapshot

import (
	"slices"
	"strconv"
	"strings"
)

// signalNames are the names of signals by number, as on Linux on x86, ARM and most other architectures. Real-time
// signals have no names.
var signalNames = [...]string{
	1: "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
	"TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
	"WINCH", "IO", "PWR", "SYS",
}

// SignalNumber returns the number of a signal, given that or its name, such as 9, KILL or SIGKILL. It returns 0 if
// there is no such signal.
func SignalNumber(text string) int16 {
	if number, err := strconv.ParseUint(text, 10, 16); err == nil {
		if number > MaxExitSignal {
			return 0
		}
		return int16(number)
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if name == "" {
		return 0
	}
	return int16(max(0, slices.Index(signalNames[:], name)))
}
