package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// without returns a Kernel without programs, and its watcher.
func without() (*Kernel, *Watcher) {
	k := &Kernel{
		groups: make(map[uint32]*group), pageSize: 4096, isEnding: func(uint32) bool { return false },
	}
	return k, k.WatchExits(nil, procfs.NewUsers())
}

// put returns an event with numbers of eight bytes after its start.
func put(kind, pid, tgid uint32, start uint64, body ...uint64) event {
	e := event{kind: kind, pid: pid, tgid: tgid, start: start}
	for _, n := range body {
		e.body = binary.NativeEndian.AppendUint64(e.body, n)
	}
	return e
}

func fork(pid, parent uint32, start uint64) event {
	return put(eventFork, pid, pid, start, uint64(parent)|uint64(parent)<<32)
}

func execOf(pid uint32, start uint64, comm string, arguments string, length int) event {
	e := put(eventExec, pid, pid, start, 0, uint64(length)|uint64(len(arguments))<<32)
	e.body = append(e.body, make([]byte, 16)...)
	copy(e.body[16:31], comm)
	e.body = append(e.body, arguments...)
	return e
}

func exit(pid uint32, start uint64, comm string) event { return exitWith(0, pid, start, comm) }

// exitWith is the end of a process with a status that wait reports.
func exitWith(status uint64, pid uint32, start uint64, comm string) event {
	e := put(eventExit, pid, pid, start, 0, 100, 1e6, 0, 0, start, start+2e6, 0, 7|status<<32)
	e.body = append(e.body, make([]byte, 16)...)
	copy(e.body[72:87], comm)
	return e
}

// free is the end of a thread that used run nanoseconds; removed is the kernel's sum of all threads that have ended.
// Its sum of their I/O is unknown.
func free(tid, pid uint32, start, run, removed uint64) event {
	return put(eventFree, tid, pid, start, run, removed, 10, 20, 0, 0)
}

// The CPU time of a process is the sum of its threads, each counted once, whether or not the kernel's own sum has it.
func TestThreadsOfAProcessThatEnded(t *testing.T) {
	k, w := without()
	k.add(fork(50, 7, 1000))
	k.add(free(51, 50, 1500, 3e6, 2e6))
	k.add(free(52, 50, 1600, 4e6, 5e6))
	k.add(exit(50, 1000, "x"))
	k.add(free(50, 50, 1000, 5e6, 9e6)) // without the last ticks of the threads
	k.endFreed(0)
	if len(w.pending) != 1 || len(k.groups) != 0 {
		t.Fatalf("%d ended, %d known", len(w.pending), len(k.groups))
	}
	p := w.pending[0]
	if p.CPU != 12*time.Millisecond || p.CPUMin != p.CPU || p.CPUMax != p.CPU ||
		p.ReadBytes != 30 || p.WriteBytes != 60 {
		t.Errorf("it used %+v", p)
	}
	if p.PID != 50 || p.PPID != 7 || p.Name != "x" || p.PeakMemory != 100*4096 {
		t.Errorf("it is %+v", p)
	}
}

// The event of one thread is lost: the kernel's sum has it.
func TestLostEventOfAThread(t *testing.T) {
	k, w := without()
	k.add(fork(50, 7, 1000))
	k.add(free(51, 50, 1500, 3e6, 2e6))
	k.add(exit(50, 1000, "x"))
	k.add(put(eventFree, 50, 50, 1000, 5e6, 11e6, 10, 20, 70, 90))
	k.endFreed(0)
	if p := w.pending[0]; p.CPU != 11*time.Millisecond || p.ReadBytes != 70 || p.WriteBytes != 90 {
		t.Errorf("it used %s, read %d bytes and wrote %d, want the kernel's sums", p.CPU, p.ReadBytes, p.WriteBytes)
	}
}

// The exit status is that of the process. It is unknown if its event is lost.
func TestExitStatuses(t *testing.T) {
	k, w := without()
	for i, status := range []uint64{0, 3 << 8, 9, 11 | 0x80} {
		pid := uint32(50 + i)
		k.add(fork(pid, 7, 1000))
		k.add(exitWith(status, pid, 1000, "x"))
		k.add(free(pid, pid, 1000, 1, 1))
	}
	k.add(fork(60, 7, 1000))
	k.add(free(60, 60, 1000, 1, 1))
	if len(w.pending) != 5 {
		t.Fatalf("%d ended", len(w.pending))
	}
	code, signal := func(n int16) snapshot.ExitStatus { return snapshot.ExitStatus{ExitCode: &n} },
		func(n int16) snapshot.ExitStatus { return snapshot.ExitStatus{ExitSignal: &n} }
	for i, want := range []snapshot.ExitStatus{code(0), code(3), signal(9), signal(11), {}} {
		if got := w.pending[i]; !snapshottest.SameExit(got.Exit, want) || got.PPID != 7 {
			t.Errorf("process %d of %d ended with %+v", got.PID, got.PPID, got.Exit)
		}
	}
}

// The event of a thread can come after that of the main thread.
func TestThreadIsRemovedLast(t *testing.T) {
	k, w := without()
	k.add(fork(50, 7, 1000))
	k.add(exit(50, 1000, "x"))
	k.add(free(50, 50, 1000, 5e6, 9e6))
	if k.endFreed(time.Hour); len(w.pending) != 0 {
		t.Fatal("the process has ended before its thread")
	}
	k.add(free(51, 50, 1500, 6e6, 9e6))
	k.endFreed(0)
	if p := w.pending[0]; p.CPU != 11*time.Millisecond || p.ReadBytes != 20 {
		t.Errorf("it used %s and read %d bytes", p.CPU, p.ReadBytes)
	}
}

// When a pid is used again, the process that had it before has ended, and its late events do not change the new one.
func TestReusedPID(t *testing.T) {
	of := func(signal uint64, e event) event {
		e.signal = signal
		return e
	}
	for name, test := range map[string]struct {
		events   []event
		ended    int
		complete bool
	}{
		"after the exit": {[]event{
			of(1, fork(50, 7, 1000)), of(1, exit(50, 1000, "x")), of(2, fork(50, 8, 9000)),
			of(1, free(51, 50, 1500, 5e6, 5e6)), of(1, free(50, 50, 1000, 5e6, 5e6)),
		}, 1, true},
		"before the exit is known": {[]event{
			of(1, fork(50, 7, 1000)), of(2, fork(50, 8, 9000)), of(1, exit(50, 1000, "x")),
			of(1, free(50, 50, 1000, 5e6, 5e6)),
		}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			k, w := without()
			for _, e := range test.events {
				k.add(e)
			}
			if len(w.pending) != test.ended || w.lossy == test.complete {
				t.Errorf("%d have ended, lossy: %t", len(w.pending), w.lossy)
			}
			if g := k.groups[50]; g == nil || g.ppid != 8 || g.hasExit || g.total() != (usage{}) {
				t.Errorf("the later process is %+v", g)
			}
		})
	}
}

// More processes than are known make the list incomplete.
func TestTooManyGroups(t *testing.T) {
	k, w := without()
	for pid := range uint32(maxGroups) {
		k.groups[pid+1] = &group{}
	}
	if k.add(fork(maxGroups+1, 1, 1000)); !w.lossy {
		t.Error("a process that is not known is not missed")
	}
}

// A process whose exit was not seen has the user of its other events.
func TestUserWithoutExit(t *testing.T) {
	k, w := without()
	start := fork(50, 7, 1000)
	start.uid = 54321
	end := free(50, 50, 1000, 1, 1)
	end.uid = 54321
	k.add(start)
	if k.add(end); w.pending[0].User != "54321" {
		t.Errorf("the user is %q", w.pending[0].User)
	}
}

// A child that does not call exec has the command line of its parent, also after the parent has ended.
func TestCommandLines(t *testing.T) {
	k, w := without()
	k.add(fork(50, 7, 1000))
	k.add(execOf(50, 1000, "make", "make\x00all\x00", 9))
	k.add(fork(60, 50, 2000))
	k.add(exit(50, 1000, "make"))
	k.add(free(50, 50, 1000, 1, 1))
	k.add(fork(70, 60, 3000))
	k.add(execOf(70, 3000, "cc", "cc\x00"+strings.Repeat("x", 4093), 9000))
	for _, pid := range []uint32{60, 70} {
		k.add(exit(pid, k.groups[pid].start, "y"))
		k.add(free(pid, pid, k.groups[pid].start, 1, 1))
	}
	if len(w.pending) != 3 || k.text != 0 {
		t.Fatalf("%d ended, and %d bytes of arguments are left", len(w.pending), k.text)
	}
	for i, want := range []string{"make all", "make all"} {
		if got := w.pending[i]; got.CommandLine != want || got.Name != "make" {
			t.Errorf("process %d is %s, %q", got.PID, got.Name, got.CommandLine)
		}
	}
	if cut := w.pending[2].CommandLine; !strings.HasPrefix(cut, "cc ") || !strings.HasSuffix(cut, "…[truncated]") {
		t.Errorf("the arguments that were cut are %q", cut)
	}
}

// When the Kernel is no longer used, a process that is ending and whose event does not come has the values that were
// last known. One that runs stays out.
func TestProcessesThatAreEnding(t *testing.T) {
	k, w := without()
	k.isEnding = func(pid uint32) bool { return pid != 70 }
	k.err = errClosed // no events come
	k.add(fork(50, 7, 1000))
	k.groups[50].task.CPU = 3 * time.Millisecond
	k.add(fork(60, 7, 2000))
	k.add(exit(60, 2000, "x"))
	k.add(fork(70, 7, 3000))
	k.EndExited()
	if len(w.pending) != 2 || len(k.groups) != 1 {
		t.Fatalf("%d ended, %d known", len(w.pending), len(k.groups))
	}
	for _, p := range w.pending {
		if wrong := p.LastKnown != (p.PID == 50) || p.Complete == p.LastKnown; wrong ||
			p.LastKnown && (p.CPU != 3*time.Millisecond || p.Exit.HasExitStatus()) {
			t.Errorf("%+v", p)
		}
	}
}

// Beyond the bounds, processes are counted, and arguments are dropped.
func TestBounds(t *testing.T) {
	k, w := without()
	long := strings.Repeat("x", 4095) + "\x00"
	for i := range uint32(exits.MaxPending + 5) {
		k.add(fork(i+10, 1, uint64(i)+1))
		k.add(execOf(i+10, uint64(i)+1, "x", long, len(long)))
	}
	if k.text > maxText || k.text < maxText-len(long) {
		t.Errorf("%d bytes of arguments are kept, the bound is %d", k.text, maxText)
	}
	for i := range uint32(exits.MaxPending + 5) {
		k.add(exit(i+10, uint64(i)+1, fmt.Sprint(i)))
		k.add(free(i+10, i+10, uint64(i)+1, 1, 1))
	}
	if len(w.pending) != exits.MaxPending || w.missed != 5 || k.text != 0 {
		t.Errorf("%d are kept, %d are counted, %d bytes are left", len(w.pending), w.missed, k.text)
	}
}

// If events can no longer be read, the list of processes that ended is not complete, from the first one on.
func TestFetchAfterAReadError(t *testing.T) {
	k := &Kernel{err: errors.New("the buffer is gone")}
	w := &Watcher{kernel: k}
	for range 2 {
		if list, _, complete := w.Fetch(time.Now()); complete || len(list) > 0 {
			t.Errorf("%d processes, complete: %t", len(list), complete)
		}
	}
}
