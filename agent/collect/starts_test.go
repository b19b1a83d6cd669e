package collect

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/snapshot"
)

// clockedMachine is a simulated machine with the clocks of Linux. Its processes end with exit records.
type clockedMachine struct {
	t         *testing.T
	sampler   *Sampler
	monotonic time.Time     // stops in a suspend
	sinceBoot time.Duration // does not
	boot      snapshot.Time // by the machine's clock
	running   map[int32]*clockedProcess
	exited    []exits.Process

	recorded map[snapshot.ProcessKey]int64 // CPU time by process
}

type clockedProcess struct {
	procfs.Process
	began time.Time
}

func newClockedMachine(t *testing.T) *clockedMachine {
	m := &clockedMachine{
		t: t, monotonic: time.Now(), sinceBoot: 5 * time.Hour, boot: snapshot.TimeOf(time.Now().Add(-5 * time.Hour)),
		running: make(map[int32]*clockedProcess), recorded: make(map[snapshot.ProcessKey]int64),
	}
	reader := &lists{onRead: func() {}}
	m.sampler = New(Sources{
		Processes:  reader,
		Forks:      func() int64 { return procfs.Unknown },
		SinceBoot:  func() time.Duration { return m.sinceBoot },
		WatchExits: func() (ExitSource, error) { return clockedExits{m}, nil },
	}, testlog.Logger())
	reader.onRead = func() {
		var list []procfs.Process
		for _, pid := range slices.Sorted(maps.Keys(m.running)) {
			list = append(list, m.running[pid].Process)
		}
		reader.list = [][]procfs.Process{list}
	}
	return m
}

// clockedExits returns the exit records of a clockedMachine.
type clockedExits struct{ m *clockedMachine }

func (e clockedExits) Fetch(time.Time) ([]exits.Process, int64, bool) {
	list := e.m.exited
	e.m.exited = nil
	return list, 0, true
}

func (clockedExits) Close() {}

func (m *clockedMachine) pass(d time.Duration) {
	m.monotonic = m.monotonic.Add(d)
	m.sinceBoot += d
}

func (m *clockedMachine) suspend(d time.Duration) { m.sinceBoot += d }

// start starts a process. Its start time is by the clock that is valid now.
func (m *clockedMachine) start(pid int32) {
	ticks := int64(m.sinceBoot / tick)
	m.running[pid] = &clockedProcess{procfs.Process{
		ProcessKey: snapshot.ProcessKey{PID: pid, StartedAt: m.boot.Add(time.Duration(ticks) * tick)},
		StartTicks: ticks,
		Identity:   snapshot.Identity{Name: "x"},
		Threads:    1,
	}, m.monotonic}
}

func (m *clockedMachine) use(pid int32, cpuMS int64) {
	m.running[pid].CPU += time.Duration(cpuMS) * time.Millisecond
}

// end ends a process. Its exit record is read later, so its start seems to be later too.
func (m *clockedMachine) end(pid int32, readAfter time.Duration) {
	p := m.running[pid]
	delete(m.running, pid)
	began := p.began.Add(readAfter)
	m.exited = append(m.exited, exits.Process{
		PID: pid, Identity: p.Identity, Started: snapshot.TimeOf(began), Began: began, Complete: true,
		CPU: p.CPU, CPUMin: p.CPU, CPUMax: p.CPU,
	})
}

func (m *clockedMachine) sample() {
	m.t.Helper()
	sample, err := m.sampler.Sample(m.t.Context(), m.monotonic, Options{ShortLived: true}, false)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, p := range append(sample.Processes, sample.Exited...) {
		cpu := int64(0)
		if p.CPUTime != nil {
			cpu = p.CPUTime.Duration().Milliseconds()
		}
		m.recorded[p.ProcessKey] += cpu
	}
}

// A listed process that ends is one process with all of its CPU time, whatever happens to the clocks.
func TestListedProcessesEndOnce(t *testing.T) {
	const own, delay = 7, 900 * time.Millisecond
	for name, events := range map[string]func(*clockedMachine){
		"nothing happens": func(*clockedMachine) {},
		"the clock is set forward by 10 s": func(m *clockedMachine) {
			m.boot = m.boot.Add(10 * time.Second)
		},
		"the clock is set back by 10 s": func(m *clockedMachine) { m.boot = m.boot.Add(-10 * time.Second) },
		"NTP sets the clock of 1970 late, so that start times move": func(m *clockedMachine) {
			const late = 50 * 365 * 24 * time.Hour
			before := m.running[own].ProcessKey
			m.boot = m.boot.Add(late)
			m.running[own].StartedAt = before.StartedAt.Add(late)
			m.pass(time.Second)
			m.sample()
			m.recorded[m.running[own].ProcessKey] += m.recorded[before]
			delete(m.recorded, before)
		},
		"the machine is suspended": func(m *clockedMachine) { m.suspend(8 * time.Hour) },
		"it is suspended several times": func(m *clockedMachine) {
			for range 5 {
				m.suspend(time.Hour)
				m.pass(5 * time.Second)
				m.sample()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for age, begin := range map[string]func(*clockedMachine){
				"before the agent": func(m *clockedMachine) {
					m.start(own)
					m.suspend(time.Hour) // unknown to the agent
					m.pass(time.Hour)
					m.sample()
				},
				"long before the event": func(m *clockedMachine) {
					m.sample()
					m.pass(time.Second)
					m.start(own)
					m.pass(4 * time.Second)
					m.sample()
					m.use(own, 100)
					m.pass(5 * time.Second)
					m.sample()
				},
				"shortly before the event": func(m *clockedMachine) {
					m.sample()
					m.pass(5 * time.Second)
					m.start(own)
					m.pass(10 * time.Millisecond)
					m.sample()
				},
				"shortly before a suspend and the next sample": func(m *clockedMachine) {
					m.sample()
					m.pass(5 * time.Second)
					m.start(own)
					m.suspend(time.Hour)
					m.pass(10 * time.Millisecond)
					m.sample()
				},
			} {
				for when, rest := range map[string]time.Duration{"at once": 0, "later": 7 * time.Second} {
					m := newClockedMachine(t)
					begin(m)
					events(m)
					m.use(own, 50)
					m.pass(rest)
					key, used := m.running[own].ProcessKey, m.running[own].CPU.Milliseconds()
					m.end(own, delay)
					m.pass(delay)
					m.sample()
					m.pass(5 * time.Second)
					m.sample()
					if len(m.recorded) != 1 || m.recorded[key] != used {
						t.Errorf("started %s, ends %s: recorded %v, want %d ms of %v", age, when, m.recorded, used, key)
					}
				}
			}
		})
	}
}

// The owners of one pid stay different processes: a listed one, one between two samples, and the next listed one.
func TestOwnersOfAPIDAreDifferentProcesses(t *testing.T) {
	const pid = 7
	m := newClockedMachine(t)
	m.sample()
	var keys []snapshot.ProcessKey
	run := func(cpuMS int64, listed bool) {
		m.pass(3 * time.Second)
		m.start(pid)
		keys = append(keys, m.running[pid].ProcessKey)
		m.use(pid, cpuMS)
		m.pass(3 * time.Second)
		if listed {
			m.sample()
			m.pass(time.Second)
		}
		m.end(pid, 0)
	}
	run(1, true)
	run(20, false)
	run(300, true)
	m.boot = m.boot.Add(-10 * time.Second)
	run(4000, true)
	m.sample()
	for i, want := range []int64{1, 20, 300, 4000} {
		found := int64(-1)
		for key, cpu := range m.recorded {
			if key.StartedAt.Sub(keys[i].StartedAt).Abs() < 2*tick {
				found = cpu
			}
		}
		if i != 1 && found != want { // the second one was never listed; its start is by the wall clock of the test
			t.Errorf("process %d used %d ms, want %d", i, found, want)
		}
	}
	total := int64(0)
	for _, cpu := range m.recorded {
		total += cpu
	}
	if len(m.recorded) != 4 || total != 4321 {
		t.Errorf("%d processes used %d ms, want 4 and 4321", len(m.recorded), total)
	}
}

// A process that exits while the list is made ends in the next sample.
func TestProcessesThatEndWhileTheListIsMade(t *testing.T) {
	const pid = 7
	m := newClockedMachine(t)
	m.start(pid)
	m.sample()
	m.pass(time.Second)
	listed := *m.running[pid]
	m.use(pid, 30)
	m.end(pid, 0)
	m.running[pid] = &listed // the list was read before
	m.sample()
	delete(m.running, pid)
	m.suspend(time.Hour)
	m.pass(time.Second)
	m.sample()
	if len(m.recorded) != 1 || m.recorded[listed.ProcessKey] != 30 {
		t.Errorf("recorded %v", m.recorded)
	}
}

// Less than a millisecond of CPU time is carried to a later sample if nothing else changed. Nothing below a microsecond
// is lost, and the last sample of a process has the rest.
func TestShortCPUTimes(t *testing.T) {
	const listed, short = 7, 8
	m := newClockedMachine(t)
	m.start(listed)
	m.sample()
	sample := func(full bool) *Sample {
		t.Helper()
		m.pass(time.Second)
		sample, err := m.sampler.Sample(t.Context(), m.monotonic, Options{ShortLived: true}, full)
		if err != nil {
			t.Fatal(err)
		}
		return sample
	}
	for i, step := range []struct {
		used   time.Duration
		memory int64
		full   bool
		want   snapshot.CPUTime
	}{
		{used: 400 * time.Microsecond},
		{used: 500 * time.Microsecond},
		{used: 234_700, want: 1134},
		{used: 300_300, memory: 1, want: 301},
		{used: 1_000_600, memory: 1, want: 1000},
		{used: 998_500, memory: 1},
		{memory: 1, full: true, want: 999},
		{used: 600 * time.Microsecond, memory: 1},
	} {
		m.running[listed].CPU += step.used
		m.running[listed].Memory = step.memory
		if p := sample(step.full).Processes[0]; *p.CPUTime != step.want {
			t.Errorf("step %d: %d µs, want %d", i, *p.CPUTime, step.want)
		}
	}
	m.running[listed].CPU += 34_900
	m.end(listed, 0)
	m.start(short)
	m.running[short].CPU = 534_600
	m.end(short, 0)
	total := snapshot.CPUTime(0)
	for _, p := range sample(false).Exited {
		total += *p.CPUTime
		want := map[int32]snapshot.CPUTime{listed: 635, short: 534}[p.PID]
		if *p.CPUTime < want-1 || *p.CPUTime > want+1 {
			t.Errorf("process %d ended with %d µs, want %d", p.PID, *p.CPUTime, want)
		}
	}
	if total != 1169 && total != 1170 { // 634.9 and 534.6, and 0.1 of before
		t.Errorf("the last samples have %d µs, want 1169 or 1170", total)
	}
}
