package collect

import (
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// deafExits is an ExitSource that no longer gets events.
type deafExits struct{ ExitSource }

func (deafExits) Fetch(time.Time) (list []exits.Process, missed int64, complete bool) {
	return nil, 0, false
}

// If BPF fails because events can no longer be read, the processes that ended since are counted.
func TestEventsCannotBeRead(t *testing.T) {
	s, source := openFailing(t)
	sample := func() *Sample { return takeSample(t, s) }
	sample()
	s.exits = deafExits{s.exits}
	source.err = errors.New("the buffer is gone")
	pids := make(map[int32]bool)
	for range 20 {
		child := exec.Command("true")
		if err := child.Run(); err != nil {
			t.Fatal(err)
		}
		pids[int32(child.Process.Pid)] = true
	}
	after := sample()
	recorded := int64(0)
	for i := range after.Exited {
		if pids[after.Exited[i].PID] {
			recorded++
		}
	}
	if unseen := after.Machine.UnseenProcesses; unseen == nil || recorded+*unseen < 20 {
		t.Errorf("of 20 processes, %d are recorded, and %v are counted", recorded, unseen)
	}
	if s.Reader().BPF {
		t.Error("BPF is still used")
	}
}

// A process that becomes a zombie while BPF is not used, and whose parent waits for it when BPF fails again, is
// recorded once.
func TestZombieWhileBPFFailsTwice(t *testing.T) {
	s, source := openFailing(t)
	later := time.Duration(0)
	p := s.sources.Processes.(*bpfProcesses)
	p.now = func() time.Time { return time.Now().Add(later) }
	recorded := make(map[int32]int)
	sample := func() {
		t.Helper()
		one := takeSample(t, s)
		for i := range one.Exited {
			recorded[one.Exited[i].PID]++
		}
	}
	sample()
	source.err = errors.New("the program is gone")
	sample()
	if s.exits == nil {
		t.Skip("exit records need CAP_NET_ADMIN in the initial namespaces")
	}
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	pid := int32(zombie.Process.Pid)
	testwait.Until(t, "the zombie", func() bool {
		sample()
		return slices.ContainsFunc(s.deferred, func(p exits.Process) bool { return p.PID == pid })
	})
	later = minPause
	sample()
	again := &failingTasks{TaskSource: p.kernel.Load()}
	p.UseTasks(again)
	sample()
	if err := zombie.Wait(); err != nil {
		t.Fatal(err)
	}
	again.err = errors.New("the program is gone again")
	settle(sample)
	if recorded[pid] != 1 {
		t.Errorf("the process is recorded %d times", recorded[pid])
	}
}

// taskstats counts the life of a process without the time in which the machine was suspended. If both sources report
// its end, it is recorded once.
func TestReportsOfBothSourcesAfterASuspend(t *testing.T) {
	now := time.Now()
	const suspended = 10 * time.Minute
	byTaskstats := exits.Process{PID: 5, Began: now.Add(-time.Hour), Complete: true, Started: 1}
	byBPF := byTaskstats
	byBPF.StartTicks, byBPF.Began, byBPF.Started = 1, byTaskstats.Began.Add(-suspended), 2
	s := &Sampler{
		sources:  Sources{Suspended: func() time.Duration { return suspended }},
		exits:    fixedExits{[]exits.Process{byBPF}},
		cores:    2,
		now:      clocks{monotonic: now},
		totals:   map[procfs.ID]*totals{},
		deferred: []exits.Process{byTaskstats},
		reported: map[int32]reportedExit{5: {began: byTaskstats.Began, at: now, seen: now}},
	}
	out := Sample{Interval: time.Second}
	s.addExited(&out, OptionsOf(snapshot.Config{}), false)
	if len(out.Exited) != 1 {
		t.Errorf("recorded %+v, want one", out.Exited)
	}
}

// The processes that ended before their exits were watched are counted, if they are not recorded.
func TestExitsAreWatchedLater(t *testing.T) { forEachReader(t, testExitsAreWatchedLater) }

func testExitsAreWatchedLater(t *testing.T, reader string) {
	s := openReal(t, reader, t.TempDir())
	defer s.Close()
	sample := func(shortLived bool) *Sample {
		t.Helper()
		options := OptionsOf(snapshot.Config{})
		options.ShortLived = shortLived
		one, err := s.Sample(t.Context(), time.Now(), options, false)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	sample(false)
	for range 20 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	after := sample(true)
	if unseen := after.Machine.UnseenProcesses; unseen == nil || *unseen < 20-int64(len(after.Exited)) {
		t.Errorf("of 20 processes, %d are recorded, and %v are counted", len(after.Exited), unseen)
	}
}

// If the old source did not have the last values of a process, the record of the new one is used.
func TestProcessEndsBetweenTwoSources(t *testing.T) {
	began := time.Now().Add(-time.Minute)
	lastKnown := exits.Process{PID: 5, Began: began, LastKnown: true}
	for name, test := range map[string]struct {
		fetched []exits.Process
		known   bool
	}{
		"the new source has it": {[]exits.Process{{PID: 5, Began: began, CPU: time.Second, Complete: true}}, true},
		"no source has it":      {nil, false},
	} {
		s := &Sampler{
			sources: Sources{Suspended: procfs.Suspended}, exits: fixedExits{test.fetched},
			totals: map[procfs.ID]*totals{}, cores: 2,
			now:      clocks{monotonic: time.Now()},
			deferred: []exits.Process{lastKnown},
			reported: map[int32]reportedExit{5: {began: began, lastKnown: true, seen: time.Now()}},
		}
		out := Sample{Interval: time.Hour}
		s.addExited(&out, OptionsOf(snapshot.Config{}), false)
		if len(out.Exited) != 1 || (out.Exited[0].CPUTime != nil) != test.known {
			t.Errorf("%s: %+v", name, out.Exited)
		}
	}
}
