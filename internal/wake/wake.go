// Package wake wakes a goroutine that waits for work, without ever blocking the caller.
package wake

// Signal wakes one waiting goroutine. Calls of Notify that happen before the goroutine receives are merged
// into one. Make one with New; receive from it to wait.
type Signal chan struct{}

// New returns a Signal that is not set.
func New() Signal { return make(Signal, 1) }

// Notify sets the signal. It does nothing if the signal is already set.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Clear unsets the signal. It does nothing if the signal is not set.
func (s Signal) Clear() {
	select {
	case <-s:
	default:
	}
}
