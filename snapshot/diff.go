package snapshot

// Change is what became of a process between two instants: Before is nil for one
// that started, After for one that ended, and both for one that did both in between.
type Change struct{ Before, After *Process }

// Compare pairs the processes of two lists of one machine: those of the first in its
// order, then those that are in the second alone.
func Compare(before, after []Process) []Change {
	later := make(map[ProcessKey]*Process, len(after))
	for i := range after {
		later[after[i].ProcessKey] = &after[i]
	}
	changes := make([]Change, 0, max(len(before), len(after)))
	for i := range before {
		one := &before[i]
		changes = append(changes, Change{Before: one, After: later[one.ProcessKey]})
		delete(later, one.ProcessKey)
	}
	for i := range after {
		if one := &after[i]; later[one.ProcessKey] == one {
			changes = append(changes, Change{After: one})
		}
	}
	return changes
}

// ChangeKind says in a word what became of a process.
type ChangeKind string

// The kinds. Passed is one that started and ended in between; a process that runs on
// and takes as much as before has none.
const (
	Started ChangeKind = "started"
	Ended   ChangeKind = "ended"
	Passed  ChangeKind = "passed"
	Grew    ChangeKind = "grew"
	Shrank  ChangeKind = "shrank"
)

// Kind tells what became of a process of which difference is how much more it takes
// of what is looked at.
func (c Change) Kind(difference int64) ChangeKind {
	switch {
	case c.Before == nil && c.After == nil:
		return Passed
	case c.Before == nil:
		return Started
	case c.After == nil:
		return Ended
	case difference > 0:
		return Grew
	case difference < 0:
		return Shrank
	}
	return ""
}

// MemoryChange is how much more memory it takes afterwards, in bytes; what did not
// run, or is not known, counts as 0.
func (c Change) MemoryChange() int64 {
	return level(
		c.After, func(p *Process) *int64 { return p.MemoryUsage },
	) - level(
		c.Before, func(p *Process) *int64 { return p.MemoryUsage },
	)
}

// ThreadsChange is how many more threads it has afterwards, counted likewise.
func (c Change) ThreadsChange() int32 {
	return level(
		c.After, func(p *Process) *int32 { return p.Threads },
	) - level(
		c.Before, func(p *Process) *int32 { return p.Threads },
	)
}

func level[T int32 | int64](p *Process, of func(*Process) *T) T {
	if p == nil || of(p) == nil {
		return 0
	}
	return *of(p)
}
