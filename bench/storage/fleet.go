package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// machine is a simulated server. Most processes are always idle. A tenth are busy during the day, and half
// of those at night. A few processes start each minute and end soon, and their pids are reused.
type machine struct {
	id      string
	rng     *rand.Rand
	list    []snapshot.Process
	fixed   int // number of processes that never end, at the start of list
	ends    []snapshot.Time
	nextPID int32
	encoder snapshot.Encoder
	steps   int
}

const (
	busyShare   = 0.12 // share of the fixed processes that sometimes use CPU
	birthsAMin  = 2.0
	lifeSeconds = 45.0
	pidSpace    = 32_768
)

func newMachine(seed uint64, id string, processes int, begin snapshot.Time) *machine {
	m := &machine{id: id, rng: rand.New(rand.NewPCG(seed, 7)), nextPID: 2}
	names := []string{
		"systemd",
		"sshd",
		"nginx",
		"postgres",
		"java",
		"kworker/0:1",
		"python3",
		"containerd",
		"dockerd",
		"bash",
	}
	for i := range processes {
		started := begin.Add(-time.Duration(1+m.rng.IntN(90*24)) * time.Hour)
		m.add(
			started, int32(max(0, i-1)/8+1), names[i%len(names)],
			fmt.Sprintf("/usr/bin/%s --unit=%d --config /etc/%s.conf", names[i%len(names)], i, names[i%len(names)]),
			m.rng.Int64N(1<<29)+1<<22,
		)
	}
	m.fixed = len(m.list)
	return m
}

func (m *machine) add(started snapshot.Time, ppid int32, name, command string, memory int64) {
	m.nextPID = m.nextPID%pidSpace + 1
	memory &^= 4095
	threads := 1 + m.rng.Int32N(16)
	m.list = append(m.list, snapshot.Process{ProcessKey: snapshot.ProcessKey{PID: m.nextPID, StartedAt: started},
		Identity: snapshot.Identity{PPID: ppid, Name: name, CommandLine: command, User: "app"},
		Values: snapshot.Values{
			State:       "S",
			CPUTime:     &noCPUTime,
			MemoryUsage: &memory,
			Threads:     &threads,
			ReadBytes:   &zero,
			WriteBytes:  &zero,
		}})
}

var (
	zero      int64
	noCPUTime snapshot.CPUTime
)

// step advances to a time and returns the processes. The list is valid until the next call.
func (m *machine) step(at snapshot.Time, interval time.Duration) []snapshot.Process {
	hour := float64(at.Std().UTC().Hour()) + float64(at.Std().UTC().Minute())/60
	activity := 0.75 - 0.25*math.Cos(2*math.Pi*(hour-3)/24)
	for i := len(m.list) - 1; i >= m.fixed; i-- {
		if m.ends[i-m.fixed] <= at {
			m.list = append(m.list[:i], m.list[i+1:]...)
			m.ends = append(m.ends[:i-m.fixed], m.ends[i-m.fixed+1:]...)
		}
	}
	for births := birthsAMin * interval.Minutes(); m.rng.Float64() < births; births-- {
		task := m.rng.IntN(40)
		m.add(
			at.Add(-time.Duration(m.rng.Int64N(int64(interval)))), 1, "sh",
			fmt.Sprintf("/bin/sh -c /opt/task-%d/run.sh --job=%d", task, m.rng.IntN(1000)), m.rng.Int64N(1<<24)+1<<20,
		)
		m.ends = append(m.ends, at.Add(time.Duration(m.rng.ExpFloat64()*lifeSeconds*float64(time.Second))))
	}
	busy := int(float64(m.fixed) * busyShare)
	for i := range m.list {
		p := &m.list[i]
		p.CPUTime, p.ReadBytes, p.WriteBytes, p.State = &noCPUTime, &zero, &zero, "S"
		if i >= busy && i < m.fixed || m.rng.Float64() > activity {
			continue
		}
		// An agent carries less than a millisecond to a later snapshot.
		if cpu := snapshot.CPUTime(m.rng.ExpFloat64() * 40_000); cpu >= 1000 {
			p.CPUTime = &cpu
		}
		if m.rng.IntN(4) == 0 {
			memory := max(1<<20, *p.MemoryUsage+(m.rng.Int64N(129)-64)*4096)
			p.MemoryUsage = &memory
		}
		if m.rng.IntN(5) == 0 {
			written := m.rng.Int64N(64) * 4096
			p.WriteBytes = &written
		}
	}
	return m.list
}

// snapshot returns the next snapshot. Every fullEvery-th one is full.
func (m *machine) snapshot(at snapshot.Time, interval time.Duration, fullEvery int) (s snapshot.Snapshot, logical int) {
	list := m.step(at, interval)
	s = snapshot.Snapshot{
		Timestamp:  at,
		Kind:       snapshot.KindFull,
		IntervalMS: interval.Milliseconds(),
		Machine:    m.metrics(),
	}
	if m.steps%fullEvery == 0 {
		s.Processes = m.encoder.Full(list)
	} else {
		s.Kind, s.Previous = snapshot.KindChanges, at.Add(-interval)
		s.Processes, s.Exited = m.encoder.Changes(list)
	}
	m.steps++
	return s, len(list)
}

func (m *machine) metrics() snapshot.MachineSnapshot {
	ram, disk := int64(16<<30), int64(256<<30)
	used, full := int64(6<<30)+m.rng.Int64N(1<<20)*4096/16, disk/3+int64(m.steps)*4096
	cpu, load := math.Round(m.rng.Float64()*200)/10, math.Round(m.rng.Float64()*100)/100
	free, left, swap, up := ram-used, disk-full, int64(0), int64(m.steps)*5000
	in, out, read, written := m.rng.Int64N(1<<16), m.rng.Int64N(1<<15), int64(0), m.rng.Int64N(64)*4096
	return snapshot.MachineSnapshot{
		CPUUsage:      &cpu,
		Load1:         &load,
		Load5:         &load,
		Load15:        &load,
		UptimeMS:      &up,
		TotalRAM:      &ram,
		UsedRAM:       &used,
		AvailableRAM:  &free,
		TotalSwap:     &swap,
		UsedSwap:      &swap,
		TotalDisk:     &disk,
		UsedDisk:      &full,
		AvailableDisk: &left,
		Disks: []snapshot.Disk{
			{Device: "/dev/vda1", Mount: "/", Total: &disk, Used: &full, ReadBytes: &read, WriteBytes: &written},
		},
		Interfaces: []snapshot.Interface{{Name: "eth0", ReceivedBytes: &in, SentBytes: &out}},
	}
}
