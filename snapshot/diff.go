package snapshot

// ProcessChange is what became of a process between two instants: Before is nil for one
// that started, After for one that ended, and both for one that did both in between.
type ProcessChange struct{ Before, After *Process }

// CompareProcesses pairs the processes of two lists of one machine: those of the first in its
// order, then those that are in the second alone.
func CompareProcesses(before, after []Process) []ProcessChange {
	later := make(map[ProcessKey]*Process, len(after))
	for i := range after {
		later[after[i].ProcessKey] = &after[i]
	}
	changes := make([]ProcessChange, 0, max(len(before), len(after)))
	for i := range before {
		one := &before[i]
		changes = append(changes, ProcessChange{Before: one, After: later[one.ProcessKey]})
		delete(later, one.ProcessKey)
	}
	for i := range after {
		if one := &after[i]; later[one.ProcessKey] == one {
			changes = append(changes, ProcessChange{After: one})
		}
	}
	return changes
}

// ChangeKind says in a word what became of a process.
type ChangeKind string

// The kinds. ChangeShortLived is one that started and ended in between; a process that runs on
// and takes as much as before has none.
const (
	ChangeStarted    ChangeKind = "started"
	ChangeEnded      ChangeKind = "ended"
	ChangeShortLived ChangeKind = "passed"
	ChangeGrew       ChangeKind = "grew"
	ChangeShrank     ChangeKind = "shrank"
)

// Kind tells what became of a process of which difference is how much more it takes
// of what is looked at.
func (c ProcessChange) Kind(difference int64) ChangeKind {
	switch {
	case c.Before == nil && c.After == nil:
		return ChangeShortLived
	case c.Before == nil:
		return ChangeStarted
	case c.After == nil:
		return ChangeEnded
	case difference > 0:
		return ChangeGrew
	case difference < 0:
		return ChangeShrank
	}
	return ""
}

// MemoryChange is how much more memory it takes afterwards, in bytes; what did not
// run, or is not known, counts as 0.
func (c ProcessChange) MemoryChange() int64 {
	return level(
		c.After, func(p *Process) *int64 { return p.MemoryUsage },
	) - level(
		c.Before, func(p *Process) *int64 { return p.MemoryUsage },
	)
}

// ThreadsChange is how many more threads it has afterwards, counted likewise.
func (c ProcessChange) ThreadsChange() int32 {
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
