package procevents

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// buffer opens a buffer, or skips the test where the kernel does not send events.
func buffer(t *testing.T, size int, kinds ...Kind) *Buffer {
	t.Helper()
	s, err := Open(size, kinds...)
	if err != nil {
		t.Skip("this machine sends no process events:", err)
	}
	t.Cleanup(s.Close)
	return s
}

// A child that starts, calls exec, and changes its user and its name has an event of each kind, in this order.
func TestEventsOfAChild(t *testing.T) {
	s := buffer(t, 1<<20, Fork, Exec, UID, Comm)
	const script = `use POSIX; $| = 1; POSIX::setuid(65534); $0 = "renamed"; print "done\n"; <STDIN>`
	if _, err := exec.LookPath("perl"); err != nil {
		t.Skip(err)
	}
	child := exec.Command("perl", "-e", script)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	before := Monotonic()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	after := Monotonic()
	var kinds []Kind
	lost := s.Drain(func(e Event) {
		if e.PID != int32(child.Process.Pid) {
			return
		}
		if kinds = append(kinds, e.Kind); e.Time < before || e.Time > after {
			t.Errorf("%+v is not between %s and %s", e, before, after)
		}
		if e.Kind == UID && e.UID != 65534 {
			t.Errorf("the user is %d", e.UID)
		}
		before = e.Time
	})
	want := []Kind{Fork, Exec, UID, Comm}
	if os.Geteuid() != 0 {
		want = []Kind{Fork, Exec, Comm}
	}
	if !slices.Equal(slices.Compact(kinds), want) || lost {
		t.Errorf("the events are %x (lost: %t), want %x", kinds, lost, want)
	}
	_ = in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if s.Drain(func(e Event) {
		if e.PID == int32(child.Process.Pid) {
			t.Errorf("the exit is received as %+v", e)
		}
	}) {
		t.Error("events are lost")
	}
}

// Threads start, and change their names, without an event.
func TestThreadsHaveNoEvents(t *testing.T) {
	s := buffer(t, 1<<20, Fork, Comm)
	setName := func(name string) {
		text := append([]byte(name), 0)
		if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&text[0])), 0, 0, 0); err != nil {
			t.Error(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if unix.Gettid() != os.Getpid() {
			setName("thread")
		}
	}()
	<-done
	s.Drain(func(e Event) {
		if e.PID == int32(os.Getpid()) {
			t.Errorf("received %+v", e)
		}
	})
}

// If more events arrive than fit into the buffer, Drain reports it once, and later events are received.
func TestLostEvents(t *testing.T) {
	s := buffer(t, 1, Exec) // the kernel's minimum, which is a few events
	for range 30 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	if lost := s.Drain(func(Event) {}); !lost {
		t.Error("no event of 30 is lost, with a buffer for a few")
	}
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	found := false
	lost := s.Drain(func(e Event) { found = found || e.PID == int32(child.Process.Pid) })
	if !found && !lost { // other processes of the machine may have filled the buffer again
		t.Error("an event after lost ones is not received")
	}
}

// Next returns when there is an event, and after Close.
func TestNext(t *testing.T) {
	s, err := Listen(1<<20, Exec)
	if err != nil {
		t.Skip("this machine sends no process events:", err)
	}
	defer s.Close()
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	for {
		event, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if event.PID == int32(child.Process.Pid) {
			break
		}
	}
	ended := make(chan error)
	go func() {
		for {
			if _, err := s.Next(); err != nil {
				ended <- err
				return
			}
		}
	}()
	s.Close()
	if err := <-ended; !errors.Is(err, fs.ErrClosed) {
		t.Error("after Close:", err)
	}
}

func TestParse(t *testing.T) {
	message := func(kind Kind, data ...uint32) []byte {
		b := make([]byte, eventBytes)
		binary.NativeEndian.PutUint32(b[eventOffset:], uint32(kind))
		binary.NativeEndian.PutUint64(b[timeOffset:], 123)
		for i, n := range data {
			binary.NativeEndian.PutUint32(b[dataOffset+4*i:], n)
		}
		return b
	}
	for name, test := range map[string]struct {
		message []byte
		want    Event
	}{
		"fork":       {message(Fork, 1, 2, 3, 4), Event{Kind: Fork, PID: 4, Time: 123}},
		"exec":       {message(Exec, 5, 6), Event{Kind: Exec, PID: 6, Time: 123}},
		"uid":        {message(UID, 7, 8, 9, 10), Event{Kind: UID, PID: 8, Time: 123, UID: 10}},
		"comm":       {message(Comm, 11, 12), Event{Kind: Comm, PID: 12, Time: 123}},
		"exit":       {message(1<<31, 13, 14), Event{}},
		"none":       {message(0, 15, 16), Event{}},
		"incomplete": {message(Exec, 5, 6)[:eventBytes-1], Event{}},
		"empty":      {nil, Event{}},
	} {
		if got, ok := parse(test.message); got != test.want || ok != (test.want != Event{}) {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
}

// Monotonic is the clock of time.Now.
func TestMonotonic(t *testing.T) {
	begin, now := time.Now(), Monotonic()
	if passed := Monotonic() - now; passed < 0 || passed > time.Since(begin) {
		t.Errorf("%s have passed, want at most %s", passed, time.Since(begin))
	}
}
