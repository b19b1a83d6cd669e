package collect

import (
	"errors"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/procfs"
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
	source := &failingTasks{TaskSource: p.kernel}
	p.UseTasks(source)
	return s, source
}

// When BPF fails, the same sample is read from /proc. It has the processes that ended before, and the next one those
// that ended after.
func TestBPFFails(t *testing.T) {
	s, source := openFailing(t)
	sample := func() *Sample {
		t.Helper()
		one, err := s.Sample(t.Context(), time.Now(), OptionsOf(snapshot.Config{}), false)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
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

// Each process that ends while BPF fails is recorded once.
func TestProcessesEndWhileBPFFails(t *testing.T) {
	s, source := openFailing(t)
	recorded := make(map[int]int)
	sample := func() {
		t.Helper()
		one, err := s.Sample(t.Context(), time.Now(), OptionsOf(snapshot.Config{}), false)
		if err != nil {
			t.Fatal(err)
		}
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
	runMore := func() {
		for range 20 {
			pids = append(pids, <-ran)
		}
	}
	runMore()
	sample()
	runMore()
	source.err = errors.New("the program is gone")
	sample()
	runMore()
	close(stop)
	for pid := range ran {
		pids = append(pids, pid)
	}
	if s.exits == nil {
		t.Skip("exit records need CAP_NET_ADMIN in the initial namespaces")
	}
	settle(sample)
	for _, pid := range pids {
		if recorded[pid] != 1 {
			t.Errorf("process %d is recorded %d times", pid, recorded[pid])
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
