//go:build !linux

package bpf

import (
	"errors"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
)

// Kernel is never created on this system.
type Kernel struct{}

// Watcher is never created on this system.
type Watcher struct{}

// Open fails: this system has no BPF.
func Open() (*Kernel, error) { return nil, errors.New("this system has no BPF") }

// CanPass returns false.
func CanPass(error) bool { return false }

// Tasks returns nothing.
func (*Kernel) Tasks() ([]procfs.Task, error) { return nil, nil }

// Lost returns 0.
func (*Kernel) Lost() uint64 { return 0 }

// WatchExits returns nil.
func (*Kernel) WatchExits(*procfs.Scrubber, *procfs.Users) *Watcher { return nil }

// EndExited does nothing.
func (*Kernel) EndExited() {}

// Close does nothing.
func (*Kernel) Close() {}

// Fetch returns nothing.
func (*Watcher) Fetch(time.Time) (list []exits.Process, missed int64, complete bool) {
	return nil, 0, false
}

// Close does nothing.
func (*Watcher) Close() {}
