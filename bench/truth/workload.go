//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// workloadArgument is the first argument of this program if it runs as a workload.
const workloadArgument = "workload"

// workloads are the processes to record, by name. Each of them waits for a line of its input before each of its steps,
// prints a report after each, and exits at the end of its input.
var workloads = map[string]func(w *console, arguments []string) error{
	"burn":   burn,
	"thread": burnInThreads,
	"leader": exitBeforeThreads,
	"load":   load,
	"tree":   writeInTree,
	"write":  write,
	"title":  setTitle,
	"exec":   execSelf,
	"tmpfs":  fillTmpfs,
}

// report is what a workload prints after a step.
type report struct {
	Processes []burned    `json:",omitempty"`
	IO        []processIO `json:",omitempty"`
}

// burned is a process that has exited, with its CPU time according to wait4.
type burned struct {
	PID int
	CPU time.Duration
}

// console is the input and output of a workload. Input is read byte by byte, because children read it too.
type console struct{}

// next waits for a line. It returns false at the end of the input.
func (*console) next() bool {
	var one [1]byte
	for {
		if _, err := io.ReadFull(os.Stdin, one[:]); err != nil {
			return false
		}
		if one[0] == '\n' {
			return true
		}
	}
}

// report prints a report.
func (*console) report(r report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

func init() {
	if isWorkload() {
		runtime.LockOSThread() // some workloads need the main thread
		debug.SetGCPercent(-1)
	}
}

func isWorkload() bool { return len(os.Args) > 2 && os.Args[1] == workloadArgument }

// runWorkload runs the workload in the arguments.
func runWorkload() error {
	run := workloads[os.Args[2]]
	if run == nil {
		return fmt.Errorf("there is no workload %s", os.Args[2])
	}
	return run(&console{}, os.Args[3:])
}

// atOnce is how many burners run at a time with the option together.
const atOnce = 10

// burn starts burners and waits for them. Its arguments are their number, their CPU time, and options: nice, orphan,
// together (several at once instead of one after the other) and hold (each sleeps until the second step).
func burn(w *console, arguments []string) error {
	n, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	cpu, err := time.ParseDuration(arguments[1])
	if err != nil {
		return err
	}
	options := strings.Join(arguments[2:], " ")
	has := func(option string) bool { return strings.Contains(options, option) }
	// An orphan becomes a child of this process, so that it can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	var burned, held [2]int
	if has("hold") {
		if err := errors.Join(syscall.Pipe(burned[:]), syscall.Pipe(held[:])); err != nil {
			return err
		}
	}
	w.next()
	var r report
	running := 0
	for range n {
		b := burner{cpu: cpu, orphan: has("orphan"), report: burned[1], hold: held[0]}
		if has("nice") {
			b.nice = 10
		}
		if _, err := b.start(); err != nil {
			return fmt.Errorf("fork: %w", err)
		}
		running++
		switch {
		case has("hold"):
			if _, err := syscall.Read(burned[0], make([]byte, 1)); err != nil {
				return err
			}
		case !has("together") || running == atOnce:
			r.wait()
			running--
		}
	}
	if has("hold") {
		if err := w.report(report{}); err != nil {
			return err
		}
		w.next()
		if _, err := syscall.Write(held[1], make([]byte, n)); err != nil {
			return err
		}
	}
	for r.wait() {
	}
	if err := w.report(r); err != nil {
		return err
	}
	w.next()
	return nil
}

// wait waits for a child, and adds it to the report. It returns false if there are none.
func (r *report) wait() bool {
	for {
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, nil, 0, &usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return false
		}
		r.Processes = append(r.Processes, burned{pid, cpuOf(&usage)})
		return true
	}
}

func cpuOf(usage *syscall.Rusage) time.Duration {
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// burnInThreads burns CPU time in threads that then exit. Its arguments are their number and the CPU time of each.
func burnInThreads(w *console, arguments []string) error {
	w.next()
	done, err := startThreads(arguments)
	if err != nil {
		return err
	}
	done.Wait()
	return nil
}

// exitBeforeThreads is burnInThreads with a main thread that exits before the others.
func exitBeforeThreads(w *console, arguments []string) error {
	w.next()
	done, err := startThreads(arguments)
	if err != nil {
		return err
	}
	go func() {
		done.Wait()
		os.Exit(0)
	}()
	_, _, errno := syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // only this thread
	return errno
}

func startThreads(arguments []string) (*sync.WaitGroup, error) {
	n, err := strconv.Atoi(arguments[0])
	if err != nil {
		return nil, err
	}
	cpu, err := time.ParseDuration(arguments[1])
	if err != nil {
		return nil, err
	}
	var done sync.WaitGroup
	for range n {
		done.Go(func() {
			runtime.LockOSThread() // the thread exits with the goroutine
			burnInThread(cpu)
		})
	}
	return &done, nil
}

// sink keeps the compiler from removing loops.
var sink atomic.Uint64

// burnInThread returns when the thread has used some CPU time.
func burnInThread(cpu time.Duration) {
	var now unix.Timespec
	for time.Duration(now.Nano()) < cpu {
		n := uint64(0)
		for range 10_000 {
			n++
		}
		sink.Add(n)
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
			return
		}
	}
}

// load starts a number of burners that do not stop before this process exits.
func load(w *console, arguments []string) error {
	n, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	w.next()
	for range n {
		b := burner{cpu: time.Hour}
		if _, err := b.start(); err != nil {
			return fmt.Errorf("fork: %w", err)
		}
	}
	if err := w.report(report{}); err != nil {
		return err
	}
	w.next()
	return nil
}
