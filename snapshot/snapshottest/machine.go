// Package snapshottest simulates machines for tests and benchmarks. Their processes start, end, call exec,
// become orphans and reuse pids, and a few of them are busy. A seed makes them reproducible.
package snapshottest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Machine is a simulated machine. It is not safe for concurrent use.
type Machine struct {
	// Churn is the probability that a process ends in a step, and another starts.
	Churn float64
	// Busy is the fraction of processes that use CPU in a step.
	Busy float64
	// MemoryStep is how much the memory of a busy process changes in a step, at most: half of it up or down.
	MemoryStep int64
	// ReportEnded makes Series report the last deltas of processes that ended, as agents do.
	ReportEnded bool

	rng       *rand.Rand
	processes []snapshot.Process
	started   bool
	pids      int32
}

// NewMachine returns a machine with n processes. Pids are at most 4 × n + 4, so that they are often reused.
func NewMachine(seed uint64, n int) *Machine {
	m := &Machine{
		Churn: 0.01, Busy: 0.1, MemoryStep: 1 << 16,
		rng: rand.New(rand.NewPCG(seed, 1)), pids: int32(4*n + 4),
	}
	for range n {
		m.start(snapshot.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	}
	return m
}

// Step simulates the machine until now and returns its full process list.
func (m *Machine) Step(now snapshot.Time) []snapshot.Process {
	for i := len(m.processes) - 1; i > 0; i-- {
		if m.rng.Float64() < m.Churn {
			m.end(i)
			m.start(now - 1)
		}
	}
	for i := range m.processes {
		m.update(&m.processes[i])
	}
	m.started = true
	return slices.Clone(m.processes)
}

func (m *Machine) start(now snapshot.Time) {
	var ppid int32
	pid := int32(1)
	for ; m.alive(pid); pid = 1 + m.rng.Int32N(m.pids) {
	}
	if len(m.processes) > 0 {
		ppid = m.processes[m.rng.IntN(len(m.processes))].PID
	}
	name := []string{"systemd", "postgres", "nginx", "bash", "kworker/0:1", "java", "sh"}[m.rng.IntN(7)]
	m.processes = append(m.processes, snapshot.Process{
		ProcessKey: snapshot.ProcessKey{PID: pid, StartedAt: now - snapshot.Time(m.rng.Int64N(3000))},
		Identity: snapshot.Identity{
			PPID:        ppid,
			Name:        name,
			CommandLine: fmt.Sprintf("/usr/bin/%s --id=%d --config /etc/%s.conf", name, m.rng.IntN(1000), name),
			User:        "root",
			Cgroup:      "/system.slice/" + name + ".service",
		},
		Values: snapshot.Values{
			State:       "S",
			MemoryUsage: ptr(64<<20 + m.rng.Int64N(1<<30)),
			Threads:     ptr(1 + m.rng.Int32N(8)),
			OpenFiles:   ptr(pid % 100),
		},
	})
}

func (m *Machine) end(i int) {
	gone := m.processes[i].PID
	m.processes = slices.Delete(m.processes, i, i+1)
	for k := range m.processes {
		if m.processes[k].PPID == gone {
			m.processes[k].PPID = m.processes[0].PID // orphans become children of init
		}
	}
}

func (m *Machine) update(p *snapshot.Process) {
	p.State = "S"
	p.CPUTime, p.ReadBytes, p.WriteBytes = ptr(snapshot.CPUTime(0)), ptr(int64(0)), ptr(int64(0))
	if !m.started {
		p.CPUTime, p.ReadBytes, p.WriteBytes = nil, nil, nil // an agent's first sample has no deltas
	}
	if m.rng.Float64() >= m.Busy {
		return
	}
	p.State = []string{"R", "D", "S"}[m.rng.IntN(3)]
	if m.started {
		p.CPUTime, p.WriteBytes = ptr(m.cpuTime(2000)), ptr(m.rng.Int64N(1<<20))
	}
	p.MemoryUsage = ptr(max(0, *p.MemoryUsage+m.rng.Int64N(m.MemoryStep)-m.MemoryStep/2))
	p.OpenFiles = ptr(int32(*p.MemoryUsage >> 12 % 100))
	if m.rng.IntN(50) == 0 {
		p.Name, p.CommandLine = "exec-"+p.Name, "/bin/exec" // exec
	}
}

// cpuTime returns a random CPU time of less than so many milliseconds.
func (m *Machine) cpuTime(ms int64) snapshot.CPUTime {
	return snapshot.CPUTime(m.rng.Int64N(1000 * ms))
}

func (m *Machine) alive(pid int32) bool {
	return slices.ContainsFunc(m.processes, func(p snapshot.Process) bool { return p.PID == pid })
}

// Metrics returns system metrics with one disk and one interface.
func (m *Machine) Metrics() snapshot.MachineSnapshot {
	ram, disk := int64(16<<30), int64(256<<30)
	used, full := m.rng.Int64N(ram), m.rng.Int64N(disk)
	return snapshot.MachineSnapshot{
		CPUUsage: ptr(float64(m.rng.IntN(1000)) / 10), Load1: ptr(1.5), Load5: ptr(1.25), Load15: ptr(1.0),
		UptimeMS: ptr(int64(86_400_000)), TotalRAM: &ram, UsedRAM: &used, AvailableRAM: ptr(ram - used),
		BuffersRAM: ptr(used / 16), CachedRAM: ptr(ram - used), SharedRAM: ptr(used / 8), SlabRAM: ptr(used / 32),
		TotalSwap: ptr(int64(0)), UsedSwap: ptr(int64(0)),
		TotalDisk: &disk, UsedDisk: &full, AvailableDisk: ptr(disk - full),
		FullestDiskUsage: ptr(math.Round(10_000*float64(full)/float64(disk)) / 100), FullestDisk: "/",
		Disks: []snapshot.Disk{{
			Device: "/dev/vda1", Mount: "/", Type: "ext4", Total: &disk, Used: &full, Available: ptr(disk - full),
			ReadBytes: ptr(int64(4096)), WriteBytes: ptr(m.rng.Int64N(1 << 20)),
		}},
		Interfaces: []snapshot.Interface{
			{
				Name: "eth0", InTotal: ptr(true),
				ReceivedBytes: ptr(m.rng.Int64N(1 << 20)), SentBytes: ptr(m.rng.Int64N(1 << 20)),
			},
		},
		CPU: &snapshot.CPUModes{
			User: ptr(12.25), Nice: ptr(0.0), System: ptr(3.5), IOWait: ptr(0.75), IRQ: ptr(0.25), Steal: ptr(0.0),
		},
		Cores: []int16{int16(m.rng.IntN(101)), int16(m.rng.IntN(101))},
		Temperatures: []snapshot.Temperature{
			{Sensor: "coretemp core 0", Celsius: 45.5}, {Sensor: "nvme", Celsius: -3},
		},
		Stale:           []string{"/mnt/nas", `a "quoted" \ path`},
		UnseenProcesses: ptr(used % 100), DroppedSnapshots: ptr(int64(3)), ClockJumpMS: ptr(int64(-1500)),
	}
}

// Series holds snapshots as an agent sends them, and the process lists that they were made from.
type Series struct {
	Snapshots []snapshot.Snapshot
	// Expected has the full process list of each instant.
	Expected [][]snapshot.Process
	// Ended has the reported processes that ended before each instant.
	Ended [][]snapshot.Process
}

// Instant is a time at which Series takes a snapshot.
type Instant struct {
	Timestamp snapshot.Time
	// IntervalMS is 0 if the snapshot follows a gap: all values that depend on the interval are unknown then.
	IntervalMS int64
	// Full is whether the snapshot lists every process. The first one and those after a gap must.
	Full bool
}

// Series simulates n steps from start and encodes them as an agent does, with a full snapshot every fullEvery
// snapshots and changes in between.
func (m *Machine) Series(start snapshot.Time, n int, step time.Duration, fullEvery int) Series {
	instants := make([]Instant, n)
	for i := range instants {
		instants[i] = Instant{start.Add(time.Duration(i) * step), step.Milliseconds(), i%fullEvery == 0}
	}
	return m.SeriesAt(instants)
}

// SeriesAt simulates the machine at the given times and encodes the snapshots as an agent does.
func (m *Machine) SeriesAt(instants []Instant) Series {
	var series Series
	var encoder snapshot.Encoder
	var before []snapshot.Process
	for i, at := range instants {
		processes := m.Step(at.Timestamp)
		ended := m.ended(before, processes, at.Timestamp)
		metrics := m.Metrics()
		if at.IntervalMS == 0 {
			ended = nil
			forgetDeltas(processes, &metrics)
		}
		before = processes
		s := snapshot.Snapshot{
			Timestamp:  at.Timestamp,
			Kind:       snapshot.KindFull,
			IntervalMS: at.IntervalMS,
			Machine:    metrics,
		}
		if at.Full {
			s.Processes = encoder.Full(processes, ended...)
		} else {
			s.Kind, s.Previous = snapshot.KindChanges, instants[i-1].Timestamp
			s.Processes, s.Exited = encoder.Changes(processes, ended...)
		}
		series.Snapshots = append(series.Snapshots, s)
		series.Expected = append(series.Expected, processes)
		series.Ended = append(series.Ended, ended)
	}
	return series
}

// forgetDeltas removes all values that depend on the interval.
func forgetDeltas(processes []snapshot.Process, m *snapshot.MachineSnapshot) {
	for i := range processes {
		processes[i].CPUTime, processes[i].ReadBytes, processes[i].WriteBytes = nil, nil, nil
	}
	m.CPUUsage, m.CPU, m.Cores = nil, nil, nil
	for i := range m.Disks {
		m.Disks[i].ReadBytes, m.Disks[i].WriteBytes = nil, nil
	}
	for i := range m.Interfaces {
		m.Interfaces[i].ReceivedBytes, m.Interfaces[i].SentBytes = nil, nil
	}
}

// ended returns the processes whose end is reported: half of those that are gone, and sometimes one that started
// and ended between two instants.
func (m *Machine) ended(before, now []snapshot.Process, at snapshot.Time) []snapshot.Process {
	var list []snapshot.Process
	if !m.ReportEnded {
		return nil
	}
	for i := range before {
		gone := !slices.ContainsFunc(now, func(p snapshot.Process) bool { return p.ProcessKey == before[i].ProcessKey })
		if gone && m.rng.IntN(2) == 0 {
			one := snapshot.Process{ProcessKey: before[i].ProcessKey, Identity: before[i].Identity}
			one.State, one.CPUTime = snapshot.StateEnded, ptr(m.cpuTime(2000))
			one.Exit = m.exitStatus()
			list = append(list, one)
		}
	}
	if m.rng.IntN(4) == 0 {
		one := snapshot.Process{
			ProcessKey: snapshot.ProcessKey{PID: 4*m.pids + m.rng.Int32N(100), StartedAt: at - 1},
			Identity:   snapshot.Identity{PPID: 1, Name: "cc1"},
		}
		one.State, one.CPUTime, one.MemoryUsage = snapshot.StateEnded, ptr(m.cpuTime(500)), ptr(int64(1<<20))
		one.Exit = m.exitStatus()
		list = append(list, one)
	}
	return list
}

// exitStatus returns a random exit status. Some are unknown.
func (m *Machine) exitStatus() snapshot.ExitStatus {
	switch m.rng.IntN(4) {
	case 0:
		return snapshot.ExitStatus{}
	case 1:
		return snapshot.ExitStatusOf(1 + m.rng.Uint32N(64))
	}
	return snapshot.ExitStatusOf(m.rng.Uint32N(3) << 8)
}

// SameExit reports whether two exit statuses are the same.
func SameExit(a, b snapshot.ExitStatus) bool {
	same := func(a, b *int16) bool { return a == b || a != nil && b != nil && *a == *b }
	return same(a.ExitCode, b.ExitCode) && same(a.ExitSignal, b.ExitSignal)
}

func ptr[T any](v T) *T { return &v }
