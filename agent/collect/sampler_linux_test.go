package collect

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// startedWithin reports whether a process started between two instants, as far as the boot time is accurate.
func startedWithin(p *snapshot.Process, from, to time.Time) bool {
	started := p.StartedAt.Std()
	return started.After(from.Add(-2*time.Second)) && started.Before(to.Add(2*time.Second))
}

// A child process that uses CPU time is listed with what it has used.
func TestSampleOfARealChild(t *testing.T) { forEachReader(t, testSampleOfARealChild) }

func testSampleOfARealChild(t *testing.T, reader string) {
	s := openReal(t, reader, t.TempDir())
	defer s.Close()
	if _, err := s.Sample(t.Context(), time.Now(), OptionsOf(snapshot.Config{}), true); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sh", "-c", "echo up; while :; do :; done")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	var spent time.Duration
	testwait.Until(t, "the child to use 50 ms of CPU time", func() bool {
		sample := takeSample(t, s)
		isChild := func(p snapshot.Process) bool { return p.PID == int32(child.Process.Pid) }
		i := slices.IndexFunc(sample.Processes, isChild)
		if i < 0 {
			t.Fatal("the child is not listed")
		}
		p := &sample.Processes[i]
		if p.CPUTime == nil || p.PPID != int32(os.Getpid()) || p.Name != "sh" ||
			!strings.Contains(p.CommandLine, "while") || p.User == "" {
			t.Fatalf("the child is %+v", p)
		}
		if !startedWithin(p, begin, time.Now()) {
			t.Fatalf("the child started at %s, not after %s", p.StartedAt, begin)
		}
		spent += p.CPUTime.Duration()
		return spent >= 50*time.Millisecond
	})
}
