package collect

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/snapshot"
)

// recording is what the samples say about processes.
type recording struct {
	t       *testing.T
	sampler *Sampler
	entries []snapshot.Process
	limit   float64 // highest usage of a process in an interval, in cores
}

// record starts to take samples. It returns nil if exit records are not available.
func record(t *testing.T, reader string) *recording {
	t.Helper()
	s := openReal(t, reader, t.TempDir())
	t.Cleanup(s.Close)
	r := &recording{t: t, sampler: s}
	r.sample()
	if s.exits == nil {
		t.Skip("exit records need CAP_NET_ADMIN in the initial namespaces")
	}
	return r
}

func (r *recording) sample() *Sample {
	r.t.Helper()
	one := takeSample(r.t, r.sampler)
	for _, p := range append(one.Processes, one.Exited...) {
		if p.CPUTime != nil && one.Interval > 0 {
			r.limit = max(r.limit, p.CPUTime.Duration().Seconds()/one.Interval.Seconds())
		}
		r.entries = append(r.entries, p)
	}
	return one
}

// settle takes samples until those processes are in one that have exited: the first sample may still list them, and
// those that lived only for the last moment belong to a sample after startPrecision.
func settle(sample func()) {
	sample()
	for end, isLast := time.Now().Add(2*startPrecision), false; !isLast; {
		isLast = time.Now().After(end)
		sample()
	}
}

// until takes samples until done is closed, and those that have the last processes.
func (r *recording) until(done <-chan struct{}) {
	r.t.Helper()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			settle(func() { r.sample() })
			return
		case <-ticker.C:
			r.sample()
		}
	}
}

// cpu returns the recorded CPU time of the processes that match.
func (r *recording) cpu(matches func(p *snapshot.Process) bool) (total time.Duration) {
	for i := range r.entries {
		if p := &r.entries[i]; p.CPUTime != nil && matches(p) {
			total += p.CPUTime.Duration()
		}
	}
	return total
}

// wantCPU fails unless a time is right to 2 % or the given error, whichever is larger.
func wantCPU(t *testing.T, got, truth, tolerance time.Duration) {
	t.Helper()
	if tolerance = max(tolerance, truth/50) + time.Millisecond; (got - truth).Abs() > tolerance { // and the rounding
		t.Errorf("the CPU time is %s, want %s ± %s", got, truth, tolerance)
	}
}

// tickTime is the longest time between two ticks of a CPU.
const tickTime = 10 * time.Millisecond

// The CPU time of a process is what wait4 says, to 2 % or a tick for each of its threads.
func TestCPUTimeOfProcessesThatEnd(t *testing.T) { forEachReader(t, testCPUTimeOfProcessesThatEnd) }

func testCPUTimeOfProcessesThatEnd(t *testing.T, reader string) {
	for _, test := range []struct {
		name    string
		command *exec.Cmd
		threads int
	}{
		{name: "one thread", command: workloadCommand("threads", 1, 500*time.Millisecond), threads: 1},
		{name: "twenty threads", command: workloadCommand("threads", 20, 20*time.Millisecond), threads: 20},
		{name: "nice", command: exec.Command("nice", "-n", "10", "sh", "-c", shellBurn), threads: 1},
		{name: "without its main thread", command: workloadCommand("threads-without-main", 2, 200*time.Millisecond),
			threads: 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(t, reader)
			done := make(chan struct{})
			if err := test.command.Start(); err != nil {
				t.Fatal(err)
			}
			var failed error
			go func() {
				failed = test.command.Wait()
				close(done)
			}()
			r.until(done)
			if failed != nil {
				t.Fatal(failed)
			}
			got := r.cpu(func(p *snapshot.Process) bool { return p.PID == int32(test.command.Process.Pid) })
			wantCPU(t, got, usedBy(test.command), time.Duration(test.threads)*tickTime)
			if cores := float64(r.sampler.cores); r.limit > cores {
				t.Errorf("a process uses %.2f of %.0f cores", r.limit, cores)
			}
		})
	}
}

// A process that may use half a core, and sleeps before it ends, has what wait4 says.
func TestCPUTimeOfAThrottledProcess(t *testing.T) { forEachReader(t, testCPUTimeOfAThrottledProcess) }

func testCPUTimeOfAThrottledProcess(t *testing.T, reader string) {
	r := record(t, reader)
	group := halfACore(t)
	child := exec.Command("sh", "-c", "echo $$ >"+group+"/cgroup.procs; "+shellBurn+"; sleep 0.3")
	done := make(chan struct{})
	var failed error
	go func() {
		failed = child.Run()
		close(done)
	}()
	r.until(done)
	if failed != nil {
		t.Fatal(failed)
	}
	isChild := func(p *snapshot.Process) bool { return p.PID == int32(child.Process.Pid) }
	// What the shell waited for, which is sleep, is part of what wait4 says.
	isSleep := func(p *snapshot.Process) bool { return p.PPID == int32(child.Process.Pid) }
	wantCPU(t, r.cpu(isChild)+r.cpu(isSleep), usedBy(child), tickTime)
}

// halfACore makes a control group that may use half a core, and removes it when the test ends.
func halfACore(t *testing.T) string {
	t.Helper()
	for root, quota := range map[string][2]string{
		"/sys/fs/cgroup":     {"cpu.max", "50000 100000"},
		"/sys/fs/cgroup/cpu": {"cpu.cfs_quota_us", "50000"},
	} {
		group, err := os.MkdirTemp(root, "snapwatch-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(group) })
		file, err := os.OpenFile(filepath.Join(group, quota[0]), os.O_WRONLY, 0)
		if err != nil {
			continue // this is not the root of control groups, or they have no limits of CPU time
		}
		_, err = file.WriteString(quota[1])
		_ = file.Close()
		if err == nil {
			return group
		}
	}
	t.Skip("no control group with a CPU limit can be made here")
	return ""
}

// shellBurn is a script with one thread that uses about 200 ms of CPU time.
const shellBurn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"

// usedBy returns what wait4 says about a process that has exited.
func usedBy(command *exec.Cmd) time.Duration {
	return command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}

// A process with one thread never uses more than its interval.
func TestOneThreadUsesAtMostItsInterval(t *testing.T) {
	forEachReader(t, testOneThreadUsesAtMostItsInterval)
}

func testOneThreadUsesAtMostItsInterval(t *testing.T, reader string) {
	r := record(t, reader)
	child := exec.Command("sh", "-c", "while :; do :; done")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	time.AfterFunc(time.Second, func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		close(done)
	})
	var most float64
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	check := func() {
		one := r.sample()
		for _, p := range append(one.Processes, one.Exited...) {
			if p.PID == int32(child.Process.Pid) && p.CPUTime != nil {
				most = max(most, p.CPUTime.Duration().Seconds()/one.Interval.Seconds())
			}
		}
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-ticker.C:
			check()
		}
	}
	check()
	check()
	if most > 1 || most == 0 {
		t.Errorf("it uses %.1f %% of its interval", 100*most)
	}
	got := r.cpu(func(p *snapshot.Process) bool { return p.PID == int32(child.Process.Pid) })
	wantCPU(t, got, usedBy(child), tickTime)
}

// The sum of short processes is what their parent's rusage says, to 2 %, though the kernel's records lack a part of
// most of them.
func TestCPUTimeOfShortChildren(t *testing.T) { forEachReader(t, testCPUTimeOfShortChildren) }

func testCPUTimeOfShortChildren(t *testing.T, reader string) {
	for _, test := range []struct {
		name  string
		count int
		each  time.Duration
	}{
		{"true", 800, 0}, {"2.5 ms", 100, 2500 * time.Microsecond}, {"10 ms", 50, 10 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(t, reader)
			parent := workloadCommand("children", test.count, test.each)
			in, errIn := parent.StdinPipe()
			out, errOut := parent.StdoutPipe()
			if errIn != nil || errOut != nil {
				t.Fatal(errIn, errOut)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			var line string
			go func() {
				line, _ = bufio.NewReader(out).ReadString('\n')
				close(done)
			}()
			r.until(done)
			_ = in.Close()
			if err := parent.Wait(); err != nil {
				t.Fatal(err)
			}
			truth, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got := r.cpu(func(p *snapshot.Process) bool { return p.PPID == int32(parent.Process.Pid) })
			wantCPU(t, got, time.Duration(truth), 0)
		})
	}
}

// A process whose parent exits before it has what wait4 says.
func TestCPUTimeOfAnOrphan(t *testing.T) { forEachReader(t, testCPUTimeOfAnOrphan) }

func testCPUTimeOfAnOrphan(t *testing.T, reader string) {
	r := record(t, reader)
	// This process adopts the orphan. Others may be slow to wait for it, and until then it is listed.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	parent := workloadCommand("parent-of-orphan", 1, 200*time.Millisecond)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var text []byte
	var pid int32
	var used time.Duration
	go func() {
		defer close(done)
		text, _ = io.ReadAll(out) // until both have exited
		var usage unix.Rusage     // with its end, which takes longer with the race detector
		if _, err := fmt.Sscan(string(text), &pid); err != nil {
			return
		}
		if _, err := unix.Wait4(int(pid), nil, 0, &usage); err == nil {
			used = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}()
	r.until(done)
	if err := parent.Wait(); err != nil {
		t.Fatal(err)
	}
	if used == 0 {
		t.Fatalf("the orphan printed %q and did not become a child of this process", text)
	}
	got := r.cpu(func(p *snapshot.Process) bool { return p.PID == pid })
	wantCPU(t, got, used, tickTime)
}
