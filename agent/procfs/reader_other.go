//go:build !linux

package procfs

import "time"

// Reader lists the processes of this machine.
type Reader = gopsutilReader

// NewReader returns a reader of this machine's processes. A nil scrubber leaves command lines unchanged.
func NewReader(_ string, scrubber *Scrubber, _ *Users) (*Reader, error) {
	return newGopsutilReader(scrubber), nil
}

// Forks returns Unknown: this system has no such counter.
func Forks() int64 { return Unknown }

// SinceBoot returns 0: this system has no such clock.
func SinceBoot() time.Duration { return 0 }

// Suspended returns 0: this system does not report it.
func Suspended() time.Duration { return 0 }

// HiddenProcesses returns "": this system does not hide processes by a mount option.
func HiddenProcesses() string { return "" }

// BootID returns "": this system has no such id.
func BootID() string { return "" }

// UseTasks does nothing: this system has no other source.
func (*gopsutilReader) UseTasks(TaskSource) {}

// TaskStatus returns nothing: there is no other source.
func (*gopsutilReader) TaskStatus() (differences int64, err error) { return 0, nil }
