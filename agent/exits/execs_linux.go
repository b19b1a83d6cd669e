package exits

import (
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// execWatcher reads the identity of each process that calls exec, for the processes that exit before the next sample.
type execWatcher struct {
	events     *procevents.Stream
	identities *procfs.IdentityReader
	stopped    sync.WaitGroup

	mu     sync.Mutex
	recent map[uint32]executed // by process; bounded by maxRecent and maxRecentText
	text   int                 // bytes of the command lines in recent
	// second, execs and lines bound how many identities are read in a second, and how long they are.
	second int64
	execs  int
	lines  procfs.LineBudget
}

// executed is the identity of a process after a call of exec.
type executed struct {
	snapshot.Identity
	at time.Duration // by CLOCK_MONOTONIC
}

const (
	// maxRecent bounds the processes whose identity is stored.
	maxRecent = 4000
	// maxRecentText bounds their command lines, in bytes.
	maxRecentText = 4 << 20
	// maxExecs bounds the identities that are read in a second. Processes beyond it have a name and no command line.
	maxExecs = 500
	// maxExecText bounds the command lines that are read in a second, in bytes. Beyond it they are cut.
	maxExecText = 2 << 20
	// execBuffer is the size of the kernel's buffer for events that wait, in bytes.
	execBuffer = 1 << 20
)

func watchExecs(scrubber *procfs.Scrubber, users *procfs.Users) (*execWatcher, error) {
	events, err := procevents.Listen(execBuffer, procevents.Exec)
	if err != nil {
		return nil, err
	}
	w := newExecWatcher(scrubber, users)
	w.events = events
	w.stopped.Go(w.run)
	return w, nil
}

func newExecWatcher(scrubber *procfs.Scrubber, users *procfs.Users) *execWatcher {
	return &execWatcher{
		identities: procfs.NewIdentityReader(scrubber, users),
		recent:     make(map[uint32]executed),
	}
}

func (w *execWatcher) run() {
	for {
		event, err := w.events.Next()
		if err != nil {
			return
		}
		w.record(uint32(event.PID), event.Time, time.Now())
	}
}

// record reads and stores the identity of a process that has called exec, unless it has exited or maxExecs is reached.
func (w *execWatcher) record(group uint32, at time.Duration, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if second := now.Unix(); second != w.second {
		w.second, w.execs, w.lines = second, 0, procfs.NewLineBudget(maxExecText)
	}
	if w.execs++; w.execs > maxExecs {
		return
	}
	id, err := w.identities.Read(group, w.lines.Limit())
	if err != nil {
		return
	}
	w.lines.Use(id.CommandLine)
	w.text += len(id.CommandLine) - len(w.recent[group].CommandLine)
	if len(w.recent) >= maxRecent || w.text > maxRecentText {
		// Most of these processes are still running, so the process list has them.
		clear(w.recent)
		w.text = len(id.CommandLine)
	}
	w.recent[group] = executed{id, at}
}

// take returns and removes the identity of a process that has exited.
func (w *execWatcher) take(group uint32) (executed, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, ok := w.recent[group]
	w.text -= len(id.CommandLine)
	delete(w.recent, group)
	return id, ok
}

func (w *execWatcher) close() {
	w.events.Close()
	w.stopped.Wait()
	w.identities.Close()
}
