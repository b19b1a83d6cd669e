package exits

import (
	"time"

	"github.com/snapwatch/snapwatch/agent/procevents"
)

// startWatcher stores when processes started, and the users to which they changed. The kernel's exit records have how
// long a process lived, but not when it exited. They have its real user, where the process list has the effective one.
type startWatcher struct {
	events *procevents.Buffer
	// recent has the processes with an event since the last sample, and previous those with one between the two samples
	// before. Later, the process list has them.
	recent, previous map[uint32]*start
}

// start is what the events of a process have said.
type start struct {
	at      time.Duration // when it started, by CLOCK_MONOTONIC; 0 if unknown
	uid     uint32
	changed bool // the process has changed its user to uid
}

const (
	// maxStarts bounds the processes in recent, and in previous.
	maxStarts = 20_000
	// startBuffer is the size of the kernel's buffer for events until they are read, in bytes.
	startBuffer = 4 << 20
)

func watchStarts() (*startWatcher, error) {
	events, err := procevents.Open(startBuffer, procevents.Fork, procevents.UID)
	if err != nil {
		return nil, err
	}
	return &startWatcher{events: events, recent: make(map[uint32]*start)}, nil
}

// drain reads the events that the kernel has buffered. A nil startWatcher has none.
func (w *startWatcher) drain() {
	if w != nil {
		w.events.Drain(w.add)
	}
}

func (w *startWatcher) add(e procevents.Event) {
	group := uint32(e.PID)
	if e.Kind == procevents.Fork {
		w.store(group, &start{at: e.Time})
		return
	}
	known := w.recent[group]
	if known == nil {
		known = &start{}
		if before := w.previous[group]; before != nil {
			*known = *before
		}
		w.store(group, known)
	}
	known.uid, known.changed = e.UID, true
}

func (w *startWatcher) store(group uint32, s *start) {
	if len(w.recent) >= maxStarts {
		w.rotate()
	}
	w.recent[group] = s
}

// rotate discards the events before the last call.
func (w *startWatcher) rotate() {
	if w != nil {
		w.recent, w.previous = make(map[uint32]*start), w.recent
	}
}

// take returns and removes what is known about a process that has exited. It reads waiting events first if there is
// nothing: the events of a process precede its exit record.
func (w *startWatcher) take(group uint32) start {
	if w == nil {
		return start{}
	}
	if w.recent[group] == nil && w.previous[group] == nil {
		w.drain()
	}
	found := w.recent[group]
	if found == nil {
		found = w.previous[group]
	}
	delete(w.recent, group)
	delete(w.previous, group)
	if found == nil {
		return start{}
	}
	return *found
}

// time returns when a process started that has lived for a time, given the time by both clocks. If its start was not
// seen, the result is up to drainEvery too late: the exit record is read some time after the exit.
func (s start) time(lived time.Duration, now time.Time, monotonic time.Duration) time.Time {
	// Another process may have the pid now, if this one has lived longer.
	const tolerance = 10 * time.Millisecond
	if age := monotonic - s.at; s.at > 0 && age >= lived-tolerance {
		return now.Add(-age)
	}
	return now.Add(-lived)
}
