package wake_test

import (
	"testing"

	"github.com/snapwatch/snapwatch/internal/wake"
)

func TestSignal(t *testing.T) {
	t.Parallel()
	s := wake.New()
	set := func() bool {
		select {
		case <-s:
			return true
		default:
			return false
		}
	}
	if set() {
		t.Error("a new signal is set")
	}
	for range 3 {
		s.Notify()
	}
	if !set() || set() {
		t.Error("three calls of Notify must wake exactly once")
	}
	s.Notify()
	s.Clear()
	s.Clear()
	if set() {
		t.Error("a cleared signal is set")
	}
}
