package collect

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// workload is the variable that makes the test binary run a workload instead of the tests.
const workload = "SNAPWATCH_TEST_WORKLOAD"

func init() {
	if os.Getenv(workload) != "" {
		runtime.LockOSThread() // the main thread runs main
	}
}

func TestMain(m *testing.M) {
	if command := os.Getenv(workload); command != "" {
		if err := runWorkload(command); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// workloadCommand returns a command that runs a workload, such as "threads 20 100ms". Each of the threads or children
// uses that much CPU time. Children of 0 run the program true, which uses about a millisecond.
func workloadCommand(kind string, count int, each time.Duration) *exec.Cmd {
	child := exec.Command(os.Args[0])
	// With the race detector, a program would sleep for a second before it exits.
	command := fmt.Sprintf("%s=%s %d %s", workload, kind, count, each)
	child.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", command)
	child.Stderr = os.Stderr
	return child
}

func runWorkload(command string) error {
	var kind, text string
	var count int
	if _, err := fmt.Sscan(command, &kind, &count, &text); err != nil {
		return err
	}
	each, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	if end := endings[kind]; end != nil {
		_, _ = os.Stdin.Read(make([]byte, 1))
		return end(count)
	}
	var threads sync.WaitGroup
	for range count {
		switch kind {
		case "threads", "threads-without-main", "orphan":
			threads.Go(func() { burn(each) })
		case "children":
			child := workloadCommand("threads", 1, each)
			if each == 0 {
				child = exec.Command("true")
			}
			if err := child.Run(); err != nil {
				return err
			}
		case "parent-of-orphan":
			child := workloadCommand("orphan", 1, each)
			child.Stdout = os.Stdout // which is closed when it exits
			if err := child.Start(); err != nil {
				return err
			}
		}
	}
	if kind == "threads-without-main" {
		go func() {
			threads.Wait()
			os.Exit(0)
		}()
		_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	}
	threads.Wait()
	switch kind {
	case "children":
		if err := printUsageOfChildren(); err != nil {
			return err
		}
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the test has taken a sample
	case "orphan":
		fmt.Println(os.Getpid())
	}
	return nil
}

// printUsageOfChildren prints the CPU time of the children of this process in nanoseconds.
func printUsageOfChildren() error {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &used); err != nil {
		return err
	}
	fmt.Println(used.Utime.Nano() + used.Stime.Nano())
	return nil
}

// burn uses CPU time on a thread of its own.
func burn(d time.Duration) {
	runtime.LockOSThread()
	var used unix.Timespec
	for end := int64(-1); end < 0 || used.Nano() < end; {
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
			panic(err)
		}
		if end < 0 {
			end = used.Nano() + int64(d)
		}
	}
}
