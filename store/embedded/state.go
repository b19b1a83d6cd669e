package embedded

import (
	"sync"
	"time"
)

// State is the state of a supervised cluster.
type State struct {
	// Running reports whether the postmaster runs.
	Running bool
	// Reason says, for people, why the cluster does not run. It is "" while it runs.
	Reason string
	// Since is the time of the last change of Running.
	Since time.Time
	// Restarts is how often the cluster was started again.
	Restarts int
	// Missing says, for people, that the programs of the running cluster were removed. It is "" if they are there.
	Missing string
	Disk    Disk
}

// stateHolder is a State that several goroutines use.
type stateHolder struct {
	mu    sync.Mutex
	state State
}

func (h *stateHolder) get() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

func (h *stateHolder) setRunning(running bool, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if running != h.state.Running || h.state.Since.IsZero() {
		h.state.Since = time.Now()
	}
	h.state.Running, h.state.Reason = running, reason
}

// setMissing sets why the programs are missing, and reports whether that has changed.
func (h *stateHolder) setMissing(reason string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.state.Missing != reason
	h.state.Missing = reason
	return changed
}

func (h *stateHolder) addRestart() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Restarts++
}

func (h *stateHolder) setDisk(disk Disk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Disk = disk
}

// State returns the state that Supervise has last seen.
func (c *Cluster) State() State { return c.state.get() }
