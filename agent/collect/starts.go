package collect

import (
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
)

// A process is listed with its start in the time since boot. The record of its exit has how long it lived, without the
// time in which the machine was suspended. Both are compared in the monotonic clock, which no one can set.

const (
	// startTolerance is how much later the record of an exit may put a start. The start is computed from the time when
	// the record was fetched.
	startTolerance = 2 * time.Second

	// startPrecision is the precision of start times in the process list, with a margin.
	startPrecision = 20 * time.Millisecond
)

// clocks is a reading of two clocks at one instant. The time since boot includes suspends, the monotonic clock of a
// time.Time does not.
type clocks struct {
	monotonic time.Time
	sinceBoot time.Duration
}

// startRange is when a process started. It is a range if the machine was suspended about that time.
type startRange struct{ earliest, latest time.Time }

// startOf returns the start of a process that is in the list of this sample, and in none before it.
func startOf(startTicks int64, previous, now clocks) startRange {
	started := time.Duration(startTicks) * tick
	r := startRange{earliest: now.monotonic.Add(started - now.sinceBoot), latest: now.monotonic}
	if !previous.monotonic.IsZero() {
		if limit := previous.monotonic.Add(started - previous.sinceBoot); limit.Before(r.latest) {
			r.latest = limit
		}
	}
	return r
}

// tick is the unit of procfs.Process.StartTicks on Linux.
const tick = 10 * time.Millisecond

// findExited returns the process of an exit record, or nil if it was never listed. listed has the listed ones with its
// pid.
func (s *Sampler) findExited(p *exits.Process, listed []*totals) *totals {
	if p.StartTicks != 0 {
		return s.totals[procfs.ID{PID: p.PID, StartTicks: p.StartTicks}]
	}
	return findByStart(p, listed, s.previous.monotonic)
}

// findByStart returns the process of an exit record among the listed ones with its pid, or nil if it was never listed.
// A pid has one owner at a time, so the process is the newest that had started before.
func findByStart(p *exits.Process, listed []*totals, lastListed time.Time) *totals {
	var owner *totals
	for _, t := range listed {
		if !t.started.earliest.After(p.Began.Add(startPrecision)) &&
			(owner == nil || t.started.earliest.After(owner.started.earliest)) {
			owner = t
		}
	}
	if owner == nil {
		return nil
	}
	ranWhenListed := !p.Began.After(lastListed)
	if ranWhenListed || p.Began.Sub(owner.started.latest) <= startTolerance {
		return owner
	}
	return nil
}

// without returns the list without one element. The caller does not use the list any more.
func without(list []*totals, gone *totals) []*totals {
	return slices.DeleteFunc(list, func(t *totals) bool { return t == gone })
}
