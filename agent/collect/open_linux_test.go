package collect

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/bpf"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// failingTasks is a source that fails when a test says so.
type failingTasks struct {
	procfs.TaskSource
	err error
}

func (f *failingTasks) Tasks() ([]procfs.Task, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.TaskSource.Tasks()
}

// openFailing returns a Sampler that reads with BPF until a test makes the source fail.
func openFailing(t *testing.T) (*Sampler, *failingTasks) {
	t.Helper()
	s := openReal(t, "bpf", t.TempDir())
	t.Cleanup(s.Close)
	p := s.sources.Processes.(*bpfProcesses)
	source := &failingTasks{TaskSource: p.kernel.Load()}
	p.UseTasks(source)
	return s, source
}

// When BPF fails, the same sample is read from /proc. It has the processes that ended before, and the next one those
// that ended after.
func TestBPFFails(t *testing.T) {
	s, source := openFailing(t)
	sample := func() *Sample { return takeSample(t, s) }
	run := func() int {
		t.Helper()
		child := exec.Command("sh", "-c", shellBurn)
		if err := child.Run(); err != nil {
			t.Fatal(err)
		}
		return child.Process.Pid
	}
	sample()
	if !s.Reader().BPF {
		t.Fatal("BPF is not used")
	}
	before := run()
	source.err = errors.New("the program is gone")
	first := sample()
	after := run()
	ended := first.Exited
	settle(func() { ended = append(ended, sample().Exited...) })
	if s.Reader().BPF {
		t.Error("BPF is still used")
	}
	pids := []int{before}
	if s.exits != nil { // taskstats needs CAP_NET_ADMIN
		pids = append(pids, after)
	}
	for _, pid := range pids {
		i := slices.IndexFunc(ended, func(p snapshot.Process) bool { return int(p.PID) == pid })
		if i < 0 || ended[i].CPUTime == nil || *ended[i].CPUTime == 0 {
			t.Errorf("process %d is not recorded with its CPU time", pid)
		}
	}
}

// When BPF fails and the agent has no right to use taskstats, the same sample has the processes that ended before, and
// those that end after it are counted.
func TestBPFFailsWithoutTaskstats(t *testing.T) {
	s, source := openFailing(t)
	withBPF := s.sources.WatchExits
	s.sources.WatchExits = func() (ExitSource, error) {
		if s.Reader().BPF {
			return withBPF()
		}
		return nil, unix.EPERM
	}
	sample := func() *Sample { return takeSample(t, s) }
	sample()
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	source.err = errors.New("the program is gone")
	found := 0
	for begin := time.Now(); time.Since(begin) < 2*startPrecision || found == 0; {
		for _, p := range sample().Exited {
			if int(p.PID) == child.Process.Pid {
				found++
			}
		}
		if time.Since(begin) > 30*time.Second {
			break
		}
	}
	if found != 1 {
		t.Errorf("the process that ended before is recorded %d times", found)
	}
	for range 20 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	if unseen := sample().Machine.UnseenProcesses; unseen == nil || *unseen < 20 {
		t.Errorf("of 20 processes that ended after it, %v are counted", unseen)
	}
}

// Each process that ends while BPF fails, and while it is used again, is recorded once. That includes a zombie that its
// parent waits for after the change.
func TestProcessesEndWhileBPFFailsAndComesBack(t *testing.T) {
	s, source := openFailing(t)
	later := time.Duration(0)
	p := s.sources.Processes.(*bpfProcesses)
	p.now = func() time.Time { return time.Now().Add(later) }
	recorded := make(map[int]int)
	sample := func() {
		t.Helper()
		one := takeSample(t, s)
		for i := range one.Exited {
			recorded[int(one.Exited[i].PID)]++
		}
	}
	sample()
	stop, ran := make(chan struct{}), make(chan int, 10_000)
	go func() {
		defer close(ran)
		for {
			child := exec.Command("true")
			if err := child.Run(); err != nil {
				t.Error(err)
				return
			}
			ran <- child.Process.Pid
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	var pids []int
	var zombies []*exec.Cmd
	more := func() {
		t.Helper()
		zombie := exec.Command("true")
		if err := zombie.Start(); err != nil {
			t.Fatal(err)
		}
		zombies = append(zombies, zombie)
		pids = append(pids, zombie.Process.Pid)
		for range 20 {
			pids = append(pids, <-ran)
		}
	}
	want := func(status ReaderStatus) {
		t.Helper()
		got := s.Reader()
		if got.LostEvents, got.Differences = 0, 0; got != status {
			t.Errorf("processes are read in this way: %+v, want %+v", got, status)
		}
	}
	more()
	sample()
	more()
	source.err = errors.New("the program is gone")
	sample()
	want(ReaderStatus{Failure: "the program is gone", Failures: 1})
	isWatched := s.exits != nil
	more()
	sample()
	more()
	later = minPause
	sample()
	want(ReaderStatus{BPF: true, Failures: 1})
	more()
	sample()
	for _, zombie := range zombies {
		if err := zombie.Wait(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	for pid := range ran {
		pids = append(pids, pid)
	}
	if !isWatched {
		t.Skip("exit records need CAP_NET_ADMIN in the initial namespaces")
	}
	settle(sample)
	for _, pid := range pids {
		if recorded[pid] != 1 {
			t.Errorf("process %d is recorded %d times", pid, recorded[pid])
		}
	}
}

// After BPF has failed, it is tried again with pauses that become longer, up to a bound.
func TestPausesAfterBPFFails(t *testing.T) {
	reader, err := procfs.NewReader(t.TempDir(), nil, procfs.NewUsers())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	start, tries := now, []time.Duration{}
	p := &bpfProcesses{Reader: reader, pause: minPause, logger: testlog.Logger(), now: func() time.Time { return now }}
	defer p.Close()
	p.failure.Store(new("gone"))
	p.open = func() (*bpf.Kernel, error) {
		tries = append(tries, now.Sub(start).Round(time.Minute))
		return nil, errors.New("not now")
	}
	p.postpone()
	for now.Sub(start) < 6*time.Hour {
		now = now.Add(30 * time.Second)
		if _, err := p.Read(t.Context(), procfs.Options{}, false); err != nil {
			t.Fatal(err)
		}
	}
	const m = time.Minute
	want := []time.Duration{1 * m, 3 * m, 7 * m, 15 * m, 31 * m, 63 * m, 123 * m, 183 * m, 243 * m, 303 * m}
	if !slices.Equal(tries, want) || p.status().Failure != "gone" {
		t.Errorf("BPF was tried after %s, want %s", tries, want)
	}
}

// If BPF fails when the agent starts, it is tried again if the reason can pass.
func TestBPFFailsAtStart(t *testing.T) {
	for failure, retried := range map[error]bool{
		fmt.Errorf("load: %w", unix.ENOMEM): true,
		fmt.Errorf("load: %w", unix.ENOENT): false,
		nil:                                 false, // nothing has failed
	} {
		s, err := Open(t.TempDir(), nil, nil, failure, testlog.Logger())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p, got := s.sources.Processes.(*bpfProcesses)
		if got != retried {
			t.Errorf("%v: it is tried again: %t", failure, got)
		}
		if !retried {
			continue
		}
		later := time.Duration(0)
		p.now = func() time.Time { return time.Now().Add(later) }
		sample := func() { takeSample(t, s) }
		if sample(); s.Reader() != (ReaderStatus{Failure: failure.Error()}) {
			t.Errorf("processes are read in this way: %+v", s.Reader())
		}
		if kernel, err := bpf.Open(); err != nil {
			t.Skipf("BPF cannot be used here: %v", err)
		} else {
			kernel.Close()
		}
		later = minPause
		if sample(); !s.Reader().BPF {
			t.Error("BPF is not used after the pause")
		}
	}
}

// Both ways to read processes give a kernel thread the same name.
func TestNamesOfKernelThreadsAreTheSame(t *testing.T) {
	names := make(map[string]map[int32]string)
	forEachReader(t, func(t *testing.T, reader string) {
		s := openReal(t, reader, t.TempDir())
		defer s.Close()
		list, err := s.sources.Processes.Read(t.Context(), procfs.Options{}, false)
		if err != nil {
			t.Fatal(err)
		}
		names[reader] = make(map[int32]string)
		for _, p := range list {
			if p.PPID == 2 { // kthreadd
				names[reader][p.PID] = p.Name
			}
		}
	})
	for pid, name := range names["bpf"] {
		if other, found := names["proc"][pid]; found && other != name {
			t.Errorf("kernel thread %d is %q with BPF, and %q in /proc", pid, name, other)
		}
	}
}
