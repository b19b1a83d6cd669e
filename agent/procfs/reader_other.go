//go:build !linux

package procfs

// Reader lists the processes of this machine.
type Reader = gopsutilReader

// NewReader returns a reader of this machine's processes. A nil scrubber leaves command lines unchanged.
func NewReader(_ string, scrubber *Scrubber, _ *Users) (*Reader, error) {
	return newGopsutilReader(scrubber), nil
}

// Forks returns Unknown: this system has no such counter.
func Forks() int64 { return Unknown }
