package collect

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// A real process that starts and exits between two samples is recorded with what it used. One that was in the first
// sample is recorded with what it used since.
func TestExitedProcessesAreRecorded(t *testing.T) {
	s, err := Open(t.TempDir(), nil, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sample := func() *Sample {
		sample, err := s.Sample(t.Context(), time.Now(), OptionsOf(snapshot.Config{}), false)
		if err != nil {
			t.Fatal(err)
		}
		return sample
	}
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
		if _, err := exits.Watch(nil); os.Geteuid() == 0 || !errors.Is(err, unix.EPERM) {
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
		used := (child.ProcessState.UserTime() + child.ProcessState.SystemTime()).Milliseconds()
		if p.CPUMS == nil {
			t.Errorf("%s: the CPU time is missing", name)
		} else if *p.CPUMS < used/2 || *p.CPUMS > 2*used+20 {
			t.Errorf("%s: the CPU time is %d ms, want about %d ms", name, *p.CPUMS, used)
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
func TestUnseenProcessesAreCounted(t *testing.T) {
	s, err := Open(t.TempDir(), nil, testlog.Logger())
	if err != nil {
		t.Fatal(err)
	}
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
			CPUMS:    i,
			Complete: true,
		})
	}
	s := &Sampler{exits: fixedExits{list}, totals: map[snapshot.ProcessKey]*totals{}}
	var out Sample
	missed, complete := s.addExited(&out, Options{}, false)
	if len(out.Exited) != maxShortLived || missed != 7 || !complete || *out.Exited[0].CPUMS != maxShortLived+6 {
		t.Errorf("%d are in the sample, %d are missed, complete is %t", len(out.Exited), missed, complete)
	}
}

// fixedExits is an ExitSource that always returns the same processes.
type fixedExits struct{ list []exits.Process }

func (f fixedExits) Fetch(time.Time) ([]exits.Process, int64, bool) { return f.list, 0, true }
func (f fixedExits) Close()                                         {}
