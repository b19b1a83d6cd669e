package snapshot

// ProcessChange is the change of one process between two instants. Before is nil if the process did not exist
// at the first instant, and After is nil if it did not exist at the second.
type ProcessChange struct{ Before, After *Process }

// CompareProcesses pairs the processes of two lists of one machine. It returns those of the first list in
// its order, followed by those that are only in the second list.
func CompareProcesses(before, after []Process) []ProcessChange {
	later := make(map[ProcessKey]*Process, len(after))
	for i := range after {
		later[after[i].ProcessKey] = &after[i]
	}
	changes := make([]ProcessChange, 0, max(len(before), len(after)))
	for i := range before {
		process := &before[i]
		changes = append(changes, ProcessChange{Before: process, After: later[process.ProcessKey]})
		delete(later, process.ProcessKey)
	}
	for i := range after {
		if process := &after[i]; later[process.ProcessKey] == process {
			changes = append(changes, ProcessChange{After: process})
		}
	}
	return changes
}

// ChangeKind classifies a ProcessChange.
type ChangeKind string

// The kinds. A short-lived process started and ended between the two instants. A process that exists at both
// instants has grown or shrunk, or has no kind.
const (
	ChangeStarted    ChangeKind = "started"
	ChangeEnded      ChangeKind = "ended"
	ChangeShortLived ChangeKind = "passed"
	ChangeGrew       ChangeKind = "grew"
	ChangeShrank     ChangeKind = "shrank"
)

// Kind classifies the change. The difference is that of the compared value, for example MemoryChange.
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

// IdentityChanged reports whether the process has another identity at the second instant, for example after exec.
func (c ProcessChange) IdentityChanged() bool {
	return c.Before != nil && c.After != nil && c.Before.Identity != c.After.Identity
}

// MemoryChange returns the change of MemoryUsage in bytes. It is 0 if that is unknown. A process that does not exist
// has no memory.
func (c ProcessChange) MemoryChange() int64 {
	memory := func(p *Process) *int64 { return p.MemoryUsage }
	return change(c, memory)
}

// ThreadsChange returns the change of Threads, like MemoryChange.
func (c ProcessChange) ThreadsChange() int32 {
	threads := func(p *Process) *int32 { return p.Threads }
	return change(c, threads)
}

func change[T int32 | int64](c ProcessChange, field func(*Process) *T) T {
	var values [2]T
	for i, p := range []*Process{c.Before, c.After} {
		if p == nil {
			continue
		}
		value := field(p)
		if value == nil {
			return 0
		}
		values[i] = *value
	}
	return values[1] - values[0]
}
