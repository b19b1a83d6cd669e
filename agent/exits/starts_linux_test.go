package exits

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procevents"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// watch starts a watcher, or skips the test where the kernel has no exit records or process events for it.
func watch(t *testing.T) *Watcher {
	t.Helper()
	w, err := Watch(nil, procfs.NewUsers())
	if err != nil {
		t.Skip("this machine sends no exit records:", err)
	}
	t.Cleanup(w.Close)
	if w.starts == nil || w.execs == nil {
		t.Skip("this machine sends no process events")
	}
	return w
}

// fetchChildren returns the processes with a parent that have exited, once there are as many as wanted.
func fetchChildren(t *testing.T, w *Watcher, parent, want int) []Process {
	t.Helper()
	var children []Process
	testwait.Until(t, "the exit records", func() bool {
		list, _, _ := w.Fetch(time.Now())
		for _, p := range list {
			if p.Identity.PPID == int32(parent) {
				children = append(children, p)
			}
		}
		return len(children) >= want
	})
	return children
}

// The start of a process that lived for a moment is accurate to 10 ms, however much later its exit record is read.
func TestStartsAreAccurate(t *testing.T) {
	w := watch(t)
	const tolerance = 10 * time.Millisecond
	type bounds struct{ before, after time.Time }
	started := make(map[int32]bounds)
	for begin := time.Now(); time.Since(begin) < drainEvery*3/2; {
		child := exec.Command("true")
		before := time.Now()
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		started[int32(child.Process.Pid)] = bounds{before, time.Now()}
		if err := child.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	checked := 0
	for _, p := range fetchChildren(t, w, os.Getpid(), len(started)) {
		b, ok := started[p.PID]
		if !ok {
			continue
		}
		checked++
		if at := p.Started.Std(); at.Before(b.before.Add(-tolerance)) || at.After(b.after.Add(tolerance)) {
			t.Errorf("a process started %s after its parent wanted it to, want 0 s to %s", at.Sub(b.before),
				b.after.Sub(b.before))
		}
	}
	if checked != len(started) {
		t.Errorf("%d of %d processes have exit records", checked, len(started))
	}
}

// A process that does not call exec has a start too.
func TestStartsOfForks(t *testing.T) {
	w := watch(t)
	before := time.Now()
	shell := exec.Command("sh", "-c", "(:) & (:) & wait")
	if err := shell.Run(); err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	for _, p := range fetchChildren(t, w, shell.Process.Pid, 2) {
		if at := p.Started.Std(); at.Before(before.Add(-time.Millisecond)) || at.After(after) {
			t.Errorf("%+v did not start between %s and %s", p, before, after)
		}
	}
}

// A process that changes its user and its name after exec, and exits before the next sample, has the last ones, and its
// command line.
func TestUserAndNameAfterExec(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may change its user")
	}
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip(err)
	}
	w := watch(t)
	child := exec.Command("perl", "-e", `use POSIX; <STDIN>; open(F, ">/proc/self/comm"); print F "renamed"; close F;
		POSIX::setuid(65534)`)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the identity to be read after exec", func() bool {
		w.execs.mu.Lock()
		defer w.execs.mu.Unlock()
		_, ok := w.execs.recent[uint32(child.Process.Pid)]
		return ok
	})
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	nobody := w.users.Name(65534)
	found := false
	for _, p := range fetchChildren(t, w, os.Getpid(), 1) {
		if p.PID != int32(child.Process.Pid) {
			continue
		}
		found = true
		id := p.Identity
		if id.User != nobody || id.Name != "renamed" || !strings.HasPrefix(id.CommandLine, "perl -e") {
			t.Errorf("%+v", id)
		}
	}
	if !found {
		t.Error("the child is missing")
	}
}

// Without the event of the start, it is computed from the time of the exit record. The same is done if the pid belongs
// to a later process.
func TestStartWithoutEvent(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		start start
		want  time.Duration // before now
	}{
		"with the event":    {start{at: 90 * time.Second}, 10 * time.Second},
		"without the event": {start{}, 7 * time.Second},
		"of another":        {start{at: 99 * time.Second}, 7 * time.Second},
	} {
		if got := test.start.time(7*time.Second, now, 100*time.Second); now.Sub(got) != test.want {
			t.Errorf("%s: started %s ago, want %s", name, now.Sub(got), test.want)
		}
	}
}

// Starts are kept until the sample after the next one, and are bounded.
func TestStartsAreBounded(t *testing.T) {
	w := &startWatcher{recent: make(map[uint32]*start)}
	w.add(procevents.Event{Kind: procevents.Fork, PID: 1, Time: 5})
	w.rotate()
	w.add(procevents.Event{Kind: procevents.UID, PID: 1, UID: 7})
	w.rotate()
	if got := w.take(1); got != (start{at: 5, uid: 7, changed: true}) {
		t.Errorf("%+v", got)
	}
	for i := range int32(5 * maxStarts) {
		w.add(procevents.Event{Kind: procevents.Fork, PID: i, Time: 5})
	}
	if n := len(w.recent) + len(w.previous); n > 2*maxStarts {
		t.Errorf("%d starts are stored", n)
	}
	if got := w.take(5*maxStarts - 1); got.at != 5 {
		t.Errorf("%+v", got)
	}
}

// Long command lines are cut as the space for them ends, and no process is left out for its command line.
func TestPendingCommandLinesAreBounded(t *testing.T) {
	w := &Watcher{
		groups: make(map[uint32]*threadTotals),
		users:  procfs.NewUsers(),
		execs:  newExecWatcher(nil, procfs.NewUsers()),
		lines:  procfs.NewLineBudget(MaxPendingText),
	}
	id := snapshot.Identity{Name: "x", CommandLine: strings.Repeat("x", snapshot.MaxCommandLineBytes)}
	for i := range uint32(MaxPending) {
		w.execs.recent[i] = executed{Identity: id}
		w.add(exitRecord{pid: i, group: i, comm: "x", last: true}, time.Now())
	}
	total := 0
	for _, p := range w.pending {
		if len(p.Identity.CommandLine) < 200 {
			t.Fatalf("a command line has %d bytes", len(p.Identity.CommandLine))
		}
		total += len(p.Identity.CommandLine)
	}
	if len(w.pending) != MaxPending || w.missed != 0 || total > MaxPendingText+MaxPending*256 {
		t.Errorf("%d processes with %d bytes are pending, %d are missed", len(w.pending), total, w.missed)
	}
}
