//go:build !linux

package exits

import (
	"errors"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
)

// Watcher is never created on this system.
type Watcher struct{}

// Watch fails: this system does not report processes that exit.
func Watch(*procfs.Scrubber, *procfs.Users) (*Watcher, error) {
	return nil, errors.New("this system does not report processes that exit")
}

// Fetch returns nothing.
func (*Watcher) Fetch(time.Time) (list []Process, missed int64, complete bool) { return nil, 0, false }

// Close does nothing.
func (*Watcher) Close() {}
