package collect

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// A real process that starts and exits between two samples is recorded with what it used. One that was in the first
// sample is recorded with what it used since.
func TestExitedProcessesAreRecorded(t *testing.T) { forEachReader(t, testExitedProcessesAreRecorded) }

func testExitedProcessesAreRecorded(t *testing.T, reader string) {
	s := openReal(t, reader, t.TempDir())
	defer s.Close()
	sample := func() *Sample { return takeSample(t, s) }
	burn := "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
	before := exec.Command("sh", "-c", "read x; "+burn)
	in, err := before.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := before.Start(); err != nil {
		t.Fatal(err)
	}
	sample()
	if s.exits == nil {
		// This needs a permission. Without it, Watch must say so.
		if _, err := exits.Watch(nil, procfs.NewUsers()); os.Geteuid() == 0 || !errors.Is(err, unix.EPERM) {
			t.Fatalf("as user %d: %v", os.Geteuid(), err)
		}
		return
	}
	shortLived := exec.Command("sh", "-c", burn)
	if err := shortLived.Run(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if err := before.Wait(); err != nil {
		t.Fatal(err)
	}
	second := sample()
	find := func(pid int) *snapshot.Process {
		for i := range second.Exited {
			if second.Exited[i].PID == int32(pid) {
				return &second.Exited[i]
			}
		}
		t.Fatalf("process %d is not among the %d that exited", pid, len(second.Exited))
		return nil
	}
	for name, child := range map[string]*exec.Cmd{"short-lived": shortLived, "in the first sample": before} {
		p := find(child.Process.Pid)
		if p.Name != "sh" || p.PPID != int32(os.Getpid()) || p.State != snapshot.StateEnded || p.User == "" {
			t.Errorf("%s: %+v", name, *p)
		}
		// The two clocks of the kernel differ: one counts ticks. All but the start of the process lies in the interval.
		used := child.ProcessState.UserTime() + child.ProcessState.SystemTime()
		if p.CPUTime == nil {
			t.Errorf("%s: the CPU time is missing", name)
		} else if cpu := p.CPUTime.Duration(); cpu < used/2 || cpu > 2*used+20*time.Millisecond {
			t.Errorf("%s: the CPU time is %s, want about %s", name, cpu, used)
		}
		if !startedWithin(p, begin, time.Now()) {
			t.Errorf("%s: it started at %s, not after %s", name, p.StartedAt, begin)
		}
	}
	if one := find(before.Process.Pid); !strings.Contains(one.CommandLine, "read x") {
		t.Errorf("the command line is %q", one.CommandLine)
	}
	if one := find(shortLived.Process.Pid); !strings.Contains(one.CommandLine, "-lt 100000") {
		t.Errorf("the command line of the short-lived process is %q", one.CommandLine)
	}
	if one := find(shortLived.Process.Pid); one.MemoryUsage == nil || *one.MemoryUsage < 100<<10 {
		t.Errorf("the peak memory is %v", one.MemoryUsage)
	}
	if third := sample(); len(third.Exited) > 0 && third.Exited[0].PID == int32(shortLived.Process.Pid) {
		t.Error("the exit is recorded twice")
	}
}

// Without exit records, processes that start and exit between two samples are counted.
func TestUnseenProcessesAreCounted(t *testing.T) { forEachReader(t, testUnseenProcessesAreCounted) }

func testUnseenProcessesAreCounted(t *testing.T, reader string) {
	s := openReal(t, reader, t.TempDir())
	s.sources.WatchExits = nil
	defer s.Close()
	if procfs.Forks() == procfs.Unknown {
		t.Fatal("this machine does not report how many processes start")
	}
	first, err := s.Sample(t.Context(), time.Now(), Options{}, true)
	if err != nil || first.Machine.UnseenProcesses != nil {
		t.Fatal(first, err)
	}
	for range 20 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	second, err := s.Sample(t.Context(), time.Now(), Options{}, false)
	if err != nil || second.Machine.UnseenProcesses == nil {
		t.Fatal(second, err)
	}
	if unseen := *second.Machine.UnseenProcesses; unseen < 20 {
		t.Errorf("%d unseen processes, want at least the 20 that ran", unseen)
	}
}

// A sample has the short-lived processes with the most CPU time, and counts the others.
func TestShortLivedProcessesAreBounded(t *testing.T) {
	var list []exits.Process
	for i := range int64(maxShortLived + 7) {
		list = append(list, exits.Process{
			PID:      int32(i + 10),
			Started:  snapshot.Time(i + 1),
			Identity: snapshot.Identity{Name: "x"},
			CPU:      time.Duration(i) * time.Millisecond,
			CPUMax:   time.Duration(i) * time.Millisecond,
			Complete: true,
		})
	}
	s := &Sampler{
		exits: fixedExits{list}, totals: map[procfs.ID]*totals{}, cores: 2, now: clocks{monotonic: time.Now()},
		missed: missedProcesses{complete: true},
	}
	out := Sample{Interval: time.Minute}
	missed := s.addExited(&out, Options{}, false)
	if len(out.Exited) != maxShortLived || missed.upTo(1000) != 7 ||
		out.Exited[0].CPUTime.Milliseconds() != maxShortLived+6 {
		t.Errorf("%d are in the sample, %+v", len(out.Exited), missed)
	}
}

// A process that starts and exits while a sample is taken is recorded once, although the next list has it as a zombie.
func TestZombiesAreRecordedOnce(t *testing.T) { forEachReader(t, testZombiesAreRecordedOnce) }

func testZombiesAreRecordedOnce(t *testing.T, reader string) {
	r := record(t, reader)
	var children []*exec.Cmd
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			child := exec.Command("true")
			if err := child.Start(); err != nil {
				t.Error(err)
				return
			}
			children = append(children, child)
		}
	}()
	for running := true; running; {
		r.sample()
		select {
		case <-done:
			running = false
		default:
		}
	}
	r.sample()
	zombies := make(map[int32]bool)
	for _, child := range children {
		zombies[int32(child.Process.Pid)] = true
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	}
	r.sample()
	r.sample()
	starts := make(map[int32]map[snapshot.Time]bool)
	for _, p := range r.entries {
		if !zombies[p.PID] {
			continue
		}
		if starts[p.PID] == nil {
			starts[p.PID] = make(map[snapshot.Time]bool)
		}
		starts[p.PID][p.StartedAt] = true
	}
	for pid := range zombies {
		if len(starts[pid]) != 1 {
			t.Errorf("process %d is recorded with %d starts, want one", pid, len(starts[pid]))
		}
	}
}

// Processes that were in a sample are not unseen, even if many exit at once and the kernel or the agent drops some of
// their records.
func TestListedProcessesAreNotUnseen(t *testing.T) {
	for _, test := range []struct {
		name               string
		missed             missedProcesses
		startedAndUnlisted int64
		want               int64
	}{
		{"8,000 sleepers, too many for the list", missedProcesses{lost: 6_057, complete: true}, 12, 12},
		{"8,000 sleepers, records lost", missedProcesses{lost: 100}, 12, 12},
		{"short-lived ones beyond the limit", missedProcesses{left: 500, complete: true}, 700, 500},
		{"threads that ended", missedProcesses{complete: true}, 40, 0},
		{"records lost", missedProcesses{left: 20}, 700, 700},
		{"in a container", missedProcesses{left: 20, lost: 3}, 0, 20},
	} {
		if got := test.missed.upTo(test.startedAndUnlisted); got != test.want {
			t.Errorf("%s: %d unseen, want %d", test.name, got, test.want)
		}
	}
}

// Every process that starts and exits between two samples is recorded, or counted if the kernel dropped records.
func TestEveryShortProcessIsRecordedOrCounted(t *testing.T) {
	forEachReader(t, testEveryShortProcessIsRecordedOrCounted)
}

func testEveryShortProcessIsRecordedOrCounted(t *testing.T, reader string) {
	const count = 1000
	r := record(t, reader)
	parent := exec.Command("sh", "-c", "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done")
	if err := parent.Run(); err != nil {
		t.Fatal(err)
	}
	recorded, unseen := 0, 0
	settle(func() {
		one := r.sample()
		for _, p := range one.Exited {
			if p.PPID == int32(parent.Process.Pid) {
				recorded++
			}
		}
		if n := one.Machine.UnseenProcesses; n != nil {
			unseen += int(*n)
		}
	})
	if recorded+unseen < count || recorded == 0 { // other processes of the machine are counted too
		t.Errorf("%d of %d are recorded, and %d are counted", recorded, count, unseen)
	}
}

// fixedExits is an ExitSource that always returns the same processes.
type fixedExits struct{ list []exits.Process }

func (f fixedExits) Fetch(time.Time) ([]exits.Process, int64, bool) { return f.list, 0, true }
func (f fixedExits) Close()                                         {}

// The stored boot time is 10 s off, as after the clock was set. Three listed processes that end are three processes,
// with the CPU time that they used.
func TestKeptBootTimeTenSecondsOff(t *testing.T) { forEachReader(t, testKeptBootTimeTenSecondsOff) }

func testKeptBootTimeTenSecondsOff(t *testing.T, reader string) {
	for name, off := range map[string]time.Duration{"ahead": 10 * time.Second, "behind": -10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			if err != nil {
				t.Fatal(err)
			}
			kept := time.Now().Add(off - procfs.SinceBoot()).UnixMilli()
			boot := fmt.Sprintf("%s %d\n", strings.TrimSpace(string(id)), kept)
			if err := os.WriteFile(filepath.Join(state, "boot"), []byte(boot), 0o600); err != nil {
				t.Fatal(err)
			}
			var children []*exec.Cmd
			var inputs []io.Closer
			for range 3 { // before the agent starts: their start times are those of the stored boot time
				child := exec.Command("sh", "-c", "read x; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
				in, err := child.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := child.Start(); err != nil {
					t.Fatal(err)
				}
				children, inputs = append(children, child), append(inputs, in)
			}
			s := openReal(t, reader, state)
			defer s.Close()
			recorded := make(map[snapshot.ProcessKey]int64) // CPU time by process
			sample := func() {
				t.Helper()
				sample := takeSample(t, s)
				for _, p := range append(sample.Processes, sample.Exited...) {
					isChild := func(child *exec.Cmd) bool { return child.Process.Pid == int(p.PID) }
					if !slices.ContainsFunc(children, isChild) {
						continue
					}
					cpu := int64(0)
					if p.CPUTime != nil {
						cpu = int64(*p.CPUTime) / 1000
					}
					recorded[p.ProcessKey] += cpu
				}
			}
			sample()
			if s.exits == nil {
				t.Skip("exit records need CAP_NET_ADMIN on the machine itself")
			}
			used := int64(0)
			for _, in := range inputs {
				_ = in.Close()
			}
			for _, child := range children {
				if err := child.Wait(); err != nil {
					t.Fatal(err)
				}
				used += (child.ProcessState.UserTime() + child.ProcessState.SystemTime()).Milliseconds()
			}
			sample()
			sample()
			total := int64(0)
			for _, cpu := range recorded {
				total += cpu
			}
			if len(recorded) != 3 {
				t.Errorf("%d processes are recorded, want 3: %v", len(recorded), recorded)
			}
			if total < used/2 || total > used*3/2+30 { // the exit records count ticks
				t.Errorf("they used %d ms, want %d ms", total, used)
			}
		})
	}
}
