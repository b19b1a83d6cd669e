package snapshot

// ExitStatus is how a process ended. It has an exit code or a signal. Both are nil if it is unknown, or if the process
// has not ended.
type ExitStatus struct {
	ExitCode   *int16 `json:"exit_code,omitempty" minimum:"0" maximum:"255" doc:"Exit code of a process that ended. Absent if a signal ended it, and if it is unknown"`
	ExitSignal *int16 `json:"exit_signal,omitempty" minimum:"1" maximum:"127" doc:"Number of the signal that ended the process. Absent if the process exited, and if it is unknown"`
}

// ExitStatusOf returns the exit status in a number that wait(2) reports. The flag of core dumps is left out.
func ExitStatusOf(waitStatus uint32) ExitStatus {
	if signal := int16(waitStatus & MaxExitSignal); signal != 0 {
		return ExitStatus{ExitSignal: &signal}
	}
	return ExitStatus{ExitCode: new(int16(waitStatus >> 8 & MaxExitCode))}
}

// HasExitStatus reports whether the exit status is known.
func (e ExitStatus) HasExitStatus() bool { return e.ExitCode != nil || e.ExitSignal != nil }
