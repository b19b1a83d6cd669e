package bpf_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testwait"
)

// open returns a Kernel. It skips the test where BPF cannot be used, and fails it if the agent has every right to it.
func open(tb testing.TB) *bpf.Kernel {
	tb.Helper()
	k, err := bpf.Open()
	if err != nil {
		_, noBTF := os.Stat("/sys/kernel/btf/vmlinux")
		if noBTF == nil && procfs.HasCapabilities(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN) &&
			!errors.Is(err, unix.EPERM) && // which a sandbox may return
			!strings.Contains(err.Error(), "lockdown mode confidentiality") {
			tb.Fatal(err)
		}
		tb.Skipf("BPF cannot be used here: %v", err)
	}
	tb.Cleanup(k.Close)
	return k
}

// The values of this process are those in /proc.
func TestValuesOfAProcess(t *testing.T) {
	k := open(t)
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	var task procfs.Task
	testwait.Until(t, "the child to sleep", func() bool {
		list, err := k.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(p procfs.Task) bool { return p.PID == int32(child.Process.Pid) })
		if i >= 0 {
			task = list[i]
		}
		return task.Comm == "sleep" && task.State == "S"
	})
	read := func(file string) string {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", child.Process.Pid, file))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	stat := strings.Fields(read("stat")[strings.LastIndex(read("stat"), ")")+2:])
	_, rss, _ := strings.Cut(read("smaps_rollup"), "\nRss:")
	var kib int64
	if _, err := fmt.Sscan(rss, &kib); err != nil {
		t.Fatal(err)
	}
	pages := strings.Fields(read("statm"))[1]
	// The number in statm lacks recent page faults of the threads until Linux 6.1, and the parts of the CPUs from 6.2
	// to 6.15. The programs add the latter.
	if fmt.Sprint(task.Pages) != pages {
		pages = fmt.Sprint(kib * 1024 / int64(os.Getpagesize()))
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", child.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var run, readBytes int64
	if _, err := fmt.Sscan(read("schedstat"), &run); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(read("io"), "\nread_bytes: ")
	if _, err := fmt.Sscan(after, &readBytes); err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct{ name, got, want string }{
		{"parent", fmt.Sprint(task.PPID), fmt.Sprint(os.Getpid())},
		{"start", fmt.Sprint(task.StartTicks), stat[19]},
		{"threads", fmt.Sprint(task.Threads), "1"},
		{"resident pages", fmt.Sprint(task.Pages), pages},
		{"open files", fmt.Sprint(task.OpenFiles), fmt.Sprint(len(files))},
		{"CPU time", fmt.Sprint(task.CPU.Nanoseconds()), fmt.Sprint(run)},
		{"bytes read", fmt.Sprint(task.ReadBytes), fmt.Sprint(readBytes)},
		{"user", fmt.Sprint(task.UID), fmt.Sprint(os.Geteuid())},
		{"one thread", fmt.Sprint(task.OneThread), "true"},
	} {
		if check.got != check.want {
			t.Errorf("%s: %s, in /proc %s", check.name, check.got, check.want)
		}
	}
}

// Every program that starts and ends between two lists is reported, with its arguments and its CPU time, and none is in
// a list.
func TestShortProcesses(t *testing.T) {
	k := open(t)
	w := k.WatchExits(nil, procfs.NewUsers())
	const count = 200
	began := time.Now().Truncate(time.Millisecond)
	var truth time.Duration
	for i := range count {
		child := exec.Command("true", fmt.Sprint("number ", i))
		if err := child.Run(); err != nil {
			t.Fatal(err)
		}
		truth += child.ProcessState.SystemTime() + child.ProcessState.UserTime()
	}
	if _, err := k.Tasks(); err != nil { // it waits for what the kernel reports later
		t.Fatal(err)
	}
	list, missed, complete := w.Fetch(time.Now())
	if missed != 0 || !complete {
		t.Fatalf("%d missed, complete: %t", missed, complete)
	}
	lines := make(map[string]int)
	var total time.Duration
	for _, p := range list {
		if p.PPID == int32(os.Getpid()) && p.Name == "true" {
			lines[p.CommandLine]++
			total += p.CPU
			if p.Started.Std().Before(began) || p.Started.Std().After(time.Now()) {
				t.Errorf("process %d started at %s", p.PID, p.Started)
			}
			if p.PeakMemory < 100<<10 {
				t.Errorf("the peak memory of process %d is %d", p.PID, p.PeakMemory)
			}
		}
	}
	for i := range count {
		if line := fmt.Sprint("true number ", i); lines[line] != 1 {
			t.Errorf("%q is reported %d times", line, lines[line])
		}
	}
	// wait4 knows their times in ticks of a hundredth of a second, or exactly; either way the sum is close.
	if diff := (total - truth).Abs(); diff > truth/10+20*time.Millisecond {
		t.Errorf("they used %s, want about %s", total, truth)
	}
}

// A process that ends is in no list after it was reported. A zombie stays in the list until its parent waits for it.
func TestZombies(t *testing.T) {
	k := open(t)
	w := k.WatchExits(nil, procfs.NewUsers())
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		list, err := k.Tasks()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.PID == int32(child.Process.Pid) {
				return p.State
			}
		}
		return ""
	}
	isChild := func(p exits.Process) bool { return p.PID == int32(child.Process.Pid) }
	testwait.Until(t, "the zombie", func() bool { return state() == "Z" })
	if list, _, _ := w.Fetch(time.Now()); slices.ContainsFunc(list, isChild) {
		t.Error("a zombie has ended")
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != "" {
		t.Errorf("after wait, the process is in the list with the state %q", got)
	}
	if list, _, _ := w.Fetch(time.Now()); !slices.ContainsFunc(list, isChild) {
		t.Error("after wait, the process has not ended")
	}
}

// A process has ended in the list that lacks it, also if it ends while the list is made.
func TestEndWhileListed(t *testing.T) {
	k := open(t)
	w := k.WatchExits(nil, procfs.NewUsers())
	for range 10 {
		children := make(map[int32]*exec.Cmd)
		for range 20 {
			child := exec.Command("sleep", "600")
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			children[int32(child.Process.Pid)] = child
		}
		if _, err := k.Tasks(); err != nil {
			t.Fatal(err)
		}
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			for _, child := range children {
				_ = child.Process.Kill()
				_ = child.Wait()
			}
		}()
		ended := make(map[int32]bool)
		for done := false; !done; {
			select {
			case <-waited:
				done = true
			default:
			}
			list, err := k.Tasks()
			if err != nil {
				t.Fatal(err)
			}
			listed := make(map[int32]bool)
			for _, p := range list {
				listed[p.PID] = true
			}
			exited, _, _ := w.Fetch(time.Now())
			for _, p := range exited {
				ended[p.PID] = true
			}
			for pid := range children {
				if !listed[pid] && !ended[pid] {
					t.Errorf("process %d is not listed and has not ended", pid)
				}
			}
		}
	}
}

// Two agents at the same time do not disturb each other, and nothing is left of a Kernel that is closed.
func TestTwoKernels(t *testing.T) {
	open(t).Close() // libraries keep some files open
	descriptors := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	goroutines, files := runtime.NumGoroutine(), descriptors()
	kernels := []*bpf.Kernel{open(t), open(t)}
	var watchers []*bpf.Watcher
	for _, k := range kernels {
		watchers = append(watchers, k.WatchExits(nil, procfs.NewUsers()))
	}
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	for i, k := range kernels {
		if _, err := k.Tasks(); err != nil {
			t.Fatal(err)
		}
		list, _, _ := watchers[i].Fetch(time.Now())
		isChild := func(p exits.Process) bool { return p.PID == int32(child.Process.Pid) }
		if !slices.ContainsFunc(list, isChild) {
			t.Errorf("kernel %d has not reported the child", i)
		}
		watchers[i].Close()
		k.Close()
		if _, err := k.Tasks(); err == nil {
			t.Error("a closed kernel returns a list")
		}
	}
	if g, f := runtime.NumGoroutine(), descriptors(); g > goroutines || f > files {
		t.Errorf("%d goroutines and %d files are left, there were %d and %d", g, f, goroutines, files)
	}
}

func BenchmarkTasks(b *testing.B) {
	k := open(b)
	processes := 0
	for b.Loop() {
		list, err := k.Tasks()
		if err != nil {
			b.Fatal(err)
		}
		processes = len(list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*max(processes, 1)), "ns/process")
}
