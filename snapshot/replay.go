package snapshot

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Replay rebuilds the process list of one machine from consecutive snapshots. The zero Replay is ready for
// use. The first snapshot must be full.
type Replay struct {
	processes map[ProcessKey]Process
}

// UnknownProcessError is returned for a changes snapshot with a process that the snapshots before it do not
// contain.
type UnknownProcessError struct{ Key ProcessKey }

func (e *UnknownProcessError) Error() string {
	return fmt.Sprintf("process %d (started %s) is not in the snapshots before", e.Key.PID, e.Key.StartedAt)
}

// Apply applies the next snapshot. IntervalMS of the snapshot must be set. If Apply returns an error, the
// list is unchanged.
func (r *Replay) Apply(s *Snapshot) error {
	if s.Kind != KindChanges {
		r.Reset()
	} else if err := r.check(s); err != nil {
		return err
	} else {
		r.CarryForward()
	}
	for _, key := range s.Exited {
		r.Remove(key)
	}
	for i := range s.Processes {
		sample := &s.Processes[i]
		if sample.Ended() {
			r.Remove(sample.Key())
			continue
		}
		process := Process{ProcessKey: sample.Key(), Values: sample.Values(s.IntervalMS)}
		if sample.HasIdentity() {
			process.Identity = sample.Identity()
		} else {
			process.Identity = r.processes[process.ProcessKey].Identity
		}
		r.Set(process)
	}
	return nil
}

// check returns an UnknownProcessError if the snapshot refers to a process that is not in the list.
func (r *Replay) check(s *Snapshot) error {
	for _, key := range s.Exited {
		if _, ok := r.processes[key]; !ok {
			return &UnknownProcessError{key}
		}
	}
	for i := range s.Processes {
		sample := &s.Processes[i]
		if _, ok := r.processes[sample.Key()]; !ok && !sample.HasIdentity() {
			return &UnknownProcessError{sample.Key()}
		}
	}
	return nil
}

// Reset empties the list. Apply does so before it adds the processes of a full snapshot.
func (r *Replay) Reset() { r.processes = make(map[ProcessKey]Process, len(r.processes)) }

// CarryForward updates the list to the next instant as if no process had changed. See Values.CarryForward.
func (r *Replay) CarryForward() {
	for key, process := range r.processes {
		process.Values = process.Values.CarryForward()
		r.processes[key] = process
	}
}

// Set adds or replaces one process.
func (r *Replay) Set(p Process) {
	if r.processes == nil {
		r.processes = make(map[ProcessKey]Process)
	}
	r.processes[p.ProcessKey] = p
}

// Remove removes one process.
func (r *Replay) Remove(key ProcessKey) { delete(r.processes, key) }

// Has reports whether the list has a process.
func (r *Replay) Has(key ProcessKey) bool {
	_, ok := r.processes[key]
	return ok
}

// Len returns the number of processes.
func (r *Replay) Len() int { return len(r.processes) }

// Keys returns the keys of all processes, in no particular order.
func (r *Replay) Keys() iter.Seq[ProcessKey] { return maps.Keys(r.processes) }

// Processes returns a copy of the list, ordered by pid and start time. It is never nil.
func (r *Replay) Processes() []Process {
	list := make([]Process, 0, len(r.processes))
	for _, process := range r.processes {
		list = append(list, process)
	}
	slices.SortFunc(list, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
	})
	return list
}
