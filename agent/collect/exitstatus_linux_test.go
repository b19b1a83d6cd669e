package collect

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// endings are workloads that end in different ways after they have read from their input. Each has several threads.
var endings = map[string]func(number int) error{
	// The process exits with a code from a thread that is not the main one.
	"exit-from-thread": func(code int) error {
		exitFromThread(code)
		select {}
	},
	// The main thread ends first, with another code.
	"exit-after-main": func(code int) error {
		go func() {
			for isRunning(os.Getpid()) {
				time.Sleep(time.Millisecond)
			}
			exitFromThread(code)
		}()
		_, _, errno := unix.Syscall(unix.SYS_EXIT, 77, 0, 0)
		return errno
	},
	// Threads end by themselves, with 0, while another one ends the process with a code.
	"exit-while-threads-end": func(code int) error {
		start, ready := make(chan struct{}), sync.WaitGroup{}
		for range 16 {
			ready.Add(1)
			go func() {
				runtime.LockOSThread() // the thread ends with the goroutine
				ready.Done()
				<-start
			}()
		}
		ready.Wait()
		close(start)
		exitFromThread(code)
		select {}
	},
	// A signal ends the process.
	"signal": func(number int) error {
		if err := unix.Kill(os.Getpid(), unix.Signal(number)); err != nil {
			return err
		}
		select {}
	},
	// A signal ends the process after its main thread.
	"signal-after-main": func(number int) error {
		go func() {
			for isRunning(os.Getpid()) {
				time.Sleep(time.Millisecond)
			}
			_ = unix.Kill(os.Getpid(), unix.Signal(number))
		}()
		_, _, errno := unix.Syscall(unix.SYS_EXIT, 77, 0, 0)
		return errno
	},
}

// isRunning reports whether the main thread of a process has not ended.
func isRunning(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid))
	if err != nil {
		return false
	}
	var id int
	var name, state string
	_, err = fmt.Sscan(string(stat), &id, &name, &state)
	return err == nil && state != "Z"
}

// exitFromThread ends this process from a thread that is not its main one, while that runs.
func exitFromThread(code int) {
	go func() {
		runtime.LockOSThread() // the main thread is locked by another goroutine
		os.Exit(code)
	}()
}

// ending is a command that ends in some way when its input does.
type ending struct {
	name    string
	command func() *exec.Cmd
}

func endingCases() []ending {
	shell := func(script string) func() *exec.Cmd {
		return func() *exec.Cmd { return exec.Command("sh", "-c", "read x; "+script) }
	}
	threads := func(kind string, number int) func() *exec.Cmd {
		return func() *exec.Cmd { return workloadCommand(kind, number, 0) }
	}
	return []ending{
		{"exit code 0", shell("exit 0")},
		{"exit code 3", shell("exit 3")},
		{"exit code 255", shell("exit 255")},
		{"SIGKILL", shell("kill -KILL $$")},
		{"SIGTERM", shell("kill -TERM $$")},
		{"SIGSEGV", shell("kill -SEGV $$")},
		{"real-time signal", shell("kill -40 $$")},
		{"exit code 0 from a thread", threads("exit-from-thread", 0)},
		{"exit code 7 from a thread", threads("exit-from-thread", 7)},
		{"exit code 0 after the main thread", threads("exit-after-main", 0)},
		{"exit code 4 after the main thread", threads("exit-after-main", 4)},
		{"SIGTERM with threads", threads("signal", int(unix.SIGTERM))},
		{"SIGKILL with threads", threads("signal", int(unix.SIGKILL))},
		{"SIGKILL after the main thread", threads("signal-after-main", int(unix.SIGKILL))},
	}
}

// exitOf returns the recorded exit status of a process, and how often its end is recorded.
func (r *recording) exitOf(pid int) (status snapshot.ExitStatus, count int) {
	for i := range r.entries {
		if p := &r.entries[i]; p.PID == int32(pid) && p.State == snapshot.StateEnded {
			status, count = p.Exit, count+1
		}
	}
	return status, count
}

// wantExit waits for the end of a process to be recorded. It must be what wait4 reported.
func (r *recording) wantExit(pid int, truth uint32) {
	r.t.Helper()
	testwait.Until(r.t, "the end of the process", func() bool {
		r.sample()
		_, count := r.exitOf(pid)
		return count > 0
	})
	want := snapshot.ExitStatusOf(truth)
	if got, count := r.exitOf(pid); count != 1 || !snapshottest.SameExit(got, want) {
		r.t.Errorf("the end is recorded %d times, with %s; want %s", count, describeExit(got), describeExit(want))
	}
	r.sample()
	if _, count := r.exitOf(pid); count != 1 {
		r.t.Errorf("the end is recorded %d times", count)
	}
}

func describeExit(e snapshot.ExitStatus) string {
	switch {
	case e.ExitCode != nil:
		return fmt.Sprint("exit code ", *e.ExitCode)
	case e.ExitSignal != nil:
		return fmt.Sprint("signal ", *e.ExitSignal)
	}
	return "no status"
}

// truthOf waits for a command. It returns what wait4 reports.
func truthOf(t *testing.T, command *exec.Cmd) uint32 {
	t.Helper()
	_ = command.Wait() // fails unless the exit code is 0
	if command.ProcessState == nil {
		t.Fatal("the command did not run")
	}
	return uint32(command.ProcessState.Sys().(syscall.WaitStatus))
}

// The exit status of a process is what wait4 reports, whether or not the process was in a sample.
func TestExitStatus(t *testing.T) { forEachReader(t, testExitStatus) }

func testExitStatus(t *testing.T, reader string) {
	for _, test := range endingCases() {
		t.Run(test.name, func(t *testing.T) {
			r := record(t, reader)
			short := test.command()
			if err := short.Start(); err != nil {
				t.Fatal(err)
			}
			r.wantExit(short.Process.Pid, truthOf(t, short))

			listed := test.command()
			input, err := listed.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := listed.Start(); err != nil {
				t.Fatal(err)
			}
			testwait.Until(t, "the process to be listed", func() bool {
				r.sample()
				return r.lists(listed.Process.Pid)
			})
			if err := input.Close(); err != nil {
				t.Fatal(err)
			}
			r.wantExit(listed.Process.Pid, truthOf(t, listed))
		})
	}
}

func (r *recording) lists(pid int) bool {
	for i := range r.entries {
		if p := &r.entries[i]; p.PID == int32(pid) && p.State != snapshot.StateEnded {
			return true
		}
	}
	return false
}

// A process with threads that ran before it was watched has an exit status, although its CPU time may be unknown.
func TestExitStatusOfAnEarlierProcess(t *testing.T) {
	forEachReader(t, testExitStatusOfAnEarlierProcess)
}

func testExitStatusOfAnEarlierProcess(t *testing.T, reader string) {
	earlier := workloadCommand("exit-from-thread", 5, 0)
	input, err := earlier.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := earlier.Start(); err != nil {
		t.Fatal(err)
	}
	r := record(t, reader)
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	r.wantExit(earlier.Process.Pid, truthOf(t, earlier))
}

// A child that never called exec has an exit status of its own.
func TestExitStatusWithoutExec(t *testing.T) { forEachReader(t, testExitStatusWithoutExec) }

func testExitStatusWithoutExec(t *testing.T, reader string) {
	r := record(t, reader)
	parent := exec.Command("sh", "-c", "(exit 6) & echo $!; wait; exit 2")
	output, err := parent.Output()
	if parent.ProcessState.ExitCode() != 2 {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(string(output), &child); err != nil {
		t.Fatal(err)
	}
	r.wantExit(child, 6<<8)
	r.wantExit(parent.Process.Pid, 2<<8)
}

// The exit status of a process whose threads end at the same time is never that of the wrong one.
func TestExitStatusOfARace(t *testing.T) { forEachReader(t, testExitStatusOfARace) }

func testExitStatusOfARace(t *testing.T, reader string) {
	const count, code = 30, 7
	r := record(t, reader)
	pids := make(map[int]bool)
	for range count {
		racing := workloadCommand("exit-while-threads-end", code, 0)
		if err := racing.Start(); err != nil {
			t.Fatal(err)
		}
		if truth := truthOf(t, racing); truth != code<<8 {
			t.Fatalf("wait4 reports %#x", truth)
		}
		pids[racing.Process.Pid] = true
	}
	known := 0
	settle(func() { r.sample() })
	for pid := range pids {
		status, ends := r.exitOf(pid)
		switch {
		case ends != 1:
			t.Errorf("the end is recorded %d times", ends)
		case !status.HasExitStatus():
		case status.ExitCode == nil || *status.ExitCode != code:
			t.Errorf("process %d has ended with %s, want %d", pid, describeExit(status), code)
		default:
			known++
		}
	}
	if t.Logf("%d of %d are known", known, count); known < count/2 || reader == "bpf" && known != count {
		t.Errorf("the exit statuses of only %d of %d processes are known", known, count)
	}
}

// The exit status of a zombie is recorded once its parent has waited for it.
func TestExitStatusOfAZombie(t *testing.T) { forEachReader(t, testExitStatusOfAZombie) }

func testExitStatusOfAZombie(t *testing.T, reader string) {
	r := record(t, reader)
	child := exec.Command("cat")
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stdout = io.Discard
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = input.Close() }()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testwait.Until(t, "the zombie", func() bool {
		for _, p := range r.sample().Processes {
			if p.PID == int32(child.Process.Pid) && p.State == "Z" {
				return true
			}
		}
		return false
	})
	if _, count := r.exitOf(child.Process.Pid); count != 0 {
		t.Error("a zombie has ended")
	}
	r.wantExit(child.Process.Pid, truthOf(t, child))
}
