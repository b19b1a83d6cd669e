package procfs

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// bootTest is a machine whose clock can be set.
type bootTest struct {
	t     *testing.T
	state string
	id    string
	times bootTimes
}

// open opens the boot times, as an agent does at its start.
func (b *bootTest) open(sinceBoot time.Duration, boot time.Time) {
	b.t.Helper()
	root := fakeProc(b.t, map[string]string{"sys/kernel/random/boot_id": b.id + "\n"})
	var err error
	if b.times, err = openBootTimes(root, b.state, sinceBoot, boot); err != nil {
		b.t.Fatal(err)
	}
}

// started requires the start time of a process that started at a time since boot.
func (b *bootTest) started(what string, sinceBoot time.Duration, want time.Time) {
	b.t.Helper()
	if got := b.times.startedAt(ticksOf(sinceBoot)); got != snapshot.TimeOf(want) {
		b.t.Errorf("%s started at %s, want %s", what, got, snapshot.TimeOf(want))
	}
}

// Start times of listed processes stay when the clock is set by up to ten minutes, also after the agent restarts. New
// processes have the start time by the new clock.
func TestStartTimesAfterAClockStep(t *testing.T) {
	boot := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	for name, step := range map[string]time.Duration{
		"forward": 10 * time.Second, "back": -10 * time.Second, "forward by the limit": 10 * time.Minute,
		"back by the limit": -10 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			b := &bootTest{t: t, state: t.TempDir(), id: "one"}
			b.open(time.Hour, boot)
			b.times.listed = ticksOf(2 * time.Hour)
			if b.times.update(boot.Add(20*time.Millisecond)) || len(b.times.steps) != 1 {
				t.Error("a step of 20 ms moves start times")
			}
			if b.times.update(boot.Add(step)) {
				t.Error("the start times of listed processes move")
			}
			if err := b.times.store(); err != nil {
				t.Fatal(err)
			}
			check := func(when string) {
				b.started("a process before the step "+when, 2*time.Hour, boot.Add(2*time.Hour))
				b.started("one after it "+when, 3*time.Hour, boot.Add(3*time.Hour+step))
			}
			check("")
			b.open(4*time.Hour, boot.Add(step))
			check("after a restart")
		})
	}
}

// The clock is set while the agent is stopped, or a file of an earlier version has another boot time.
func TestStartTimesWhenTheAgentWasStopped(t *testing.T) {
	boot := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	state := t.TempDir()
	earlier := "one " + strconv.FormatInt(boot.UnixMilli(), 10) + "\n"
	if err := os.WriteFile(filepath.Join(state, "boot"), []byte(earlier), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &bootTest{t: t, state: state, id: "one"}
	b.open(time.Hour, boot.Add(10*time.Second))
	b.started("a process before the agent", 59*time.Minute, boot.Add(59*time.Minute))
	b.started("a process after it", 61*time.Minute, boot.Add(61*time.Minute+10*time.Second))
	b.id = "two"
	b.open(time.Minute, boot.Add(5*time.Hour))
	b.started("a process of the next boot", time.Second, boot.Add(5*time.Hour+time.Second))
}

// A machine without a battery-backed clock boots in 1970. All start times follow when NTP sets the clock.
func TestStartTimesWithoutABatteryBackedClock(t *testing.T) {
	b := &bootTest{t: t, state: t.TempDir(), id: "one"}
	b.open(30*time.Second, time.UnixMilli(0))
	b.started("init, before NTP,", 0, time.UnixMilli(0)) // unknown
	b.started("a daemon, before NTP,", 5*time.Second, time.UnixMilli(5000))
	boot := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	b.times.listed = ticksOf(40 * time.Second)
	if !b.times.update(boot) {
		t.Error("start times do not move")
	}
	b.started("init", 0, boot)
	b.started("a daemon", 5*time.Second, boot.Add(5*time.Second))
	b.started("a new process", time.Minute, boot.Add(time.Minute))
	b.times.update(time.UnixMilli(-60_000))                               // set back to 1970
	b.started("a process before that", 30*time.Second, time.UnixMilli(0)) // unknown
	b.started("a process after that", 90*time.Second, time.UnixMilli(30_000))
}

// The number of boot times is bounded, and a damaged file is ignored.
func TestBootTimesAreBounded(t *testing.T) {
	boot := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	b := &bootTest{t: t, state: t.TempDir(), id: "one"}
	b.open(0, boot)
	for i := range 3 * maxBootSteps {
		b.times.listed = ticksOf(time.Duration(i+1) * time.Minute)
		moved := b.times.update(boot.Add(time.Duration(i+1) * time.Second))
		if moved != (i+2 > maxBootSteps) {
			t.Fatalf("step %d: start times move is %t", i, moved)
		}
	}
	if len(b.times.steps) != maxBootSteps {
		t.Errorf("%d boot times are kept, want %d", len(b.times.steps), maxBootSteps)
	}
	if err := b.times.store(); err != nil {
		t.Fatal(err)
	}
	kept := b.times.steps
	if b.open(1000*time.Hour, boot.Add(3*maxBootSteps*time.Second)); len(b.times.steps) != len(kept) {
		t.Errorf("%d boot times are read, want %d", len(b.times.steps), len(kept))
	}
	path := filepath.Join(b.state, "boot")
	for _, damaged := range []string{
		"", "one", "one x", "one 1\n2", "one 1\n7 1\n7 1", "one 1" + strings.Repeat("\n1 1", maxBootSteps),
	} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if b.open(time.Hour, boot); len(b.times.steps) != 1 || b.times.steps[0].bootMS != boot.UnixMilli() {
			t.Errorf("%q is read as %v", damaged, b.times.steps)
		}
	}
}

// A reader follows the clock: a process keeps its start time after a small step and gets another one after a large one.
// It stays the same process for the sampler.
func TestReaderFollowsTheClock(t *testing.T) {
	root := fakeProc(t, map[string]string{"42/stat": "42 (a) S" + statRest})
	boot := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	sinceBoot := time.Hour
	r := newReader(root, 0, nil, testUsers(t))
	defer r.Close()
	r.clocks = func() (time.Duration, time.Time) { return sinceBoot, boot }
	var err error
	if r.boot, err = openBootTimes(root, t.TempDir(), sinceBoot, boot); err != nil {
		t.Fatal(err)
	}
	started := func(pid int32) (ID, snapshot.Time) {
		t.Helper()
		list, err := r.Read(t.Context(), r.options, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			if list[i].PID == pid {
				return list[i].ID(), list[i].StartedAt
			}
		}
		t.Fatalf("process %d is not listed", pid)
		return ID{}, 0
	}
	id, first := started(42)
	if want := snapshot.TimeOf(boot.Add(123_450 * time.Millisecond)); first != want {
		t.Errorf("it started at %s, want %s", first, want)
	}
	boot = boot.Add(10 * time.Second)
	if same, at := started(42); same != id || at != first {
		t.Errorf("after a step of 10 s it is %v, %s, want %v, %s", same, at, id, first)
	}
	boot = boot.Add(time.Hour)
	if same, at := started(42); same != id || at != first.Add(time.Hour+10*time.Second) {
		t.Errorf("after a step of an hour it is %v, %s", same, at)
	}
}

// The start time of this process agrees with the clock of the machine to a tick of the kernel.
func TestStartTimeOfARealProcess(t *testing.T) {
	r, err := NewReader(t.TempDir(), nil, testUsers(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := time.Now()
	process, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	after := time.Now()
	defer func() { _, _ = process.Wait() }()
	defer func() { _ = process.Kill() }()
	list, err := r.Read(t.Context(), r.options, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if int(list[i].PID) != process.Pid {
			continue
		}
		const precision = 20 * time.Millisecond
		if at := list[i].StartedAt.Std(); at.Before(before.Add(-precision)) || at.After(after.Add(precision)) {
			t.Errorf("it started at %s, want from %s to %s", at, before, after)
		}
		return
	}
	t.Error("the process is not listed")
}
