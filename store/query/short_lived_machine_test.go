package query_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// shortLivedMachine is a simulated machine on which short-lived processes run besides those of its lists.
type shortLivedMachine struct {
	rng       *rand.Rand
	snapshots []snapshot.Snapshot
	// processes are all processes that ended between two snapshots, also those that are not known to be short-lived.
	processes []snapshot.ProcessSample
	// commandLines are some of their command lines.
	commandLines []string
}

// newShortLivedMachine simulates n snapshots from a time. Intervals are between 2 s and 2 min, and some follow a gap.
func newShortLivedMachine(seed uint64, begin snapshot.Time, n int) *shortLivedMachine {
	m := &shortLivedMachine{rng: rand.New(rand.NewPCG(seed, 7))}
	var instants []snapshottest.Instant
	for i, at := 0, begin; i < n; i++ {
		interval := time.Duration(2000+m.rng.Int64N(20_000)) * time.Millisecond
		if m.rng.IntN(20) == 0 {
			interval += 100 * time.Second
		}
		one := snapshottest.Instant{IntervalMS: interval.Milliseconds(), Full: i%7 == 0}
		if m.rng.IntN(60) == 0 {
			interval += 10 * time.Minute
			one.IntervalMS, one.Full = 0, true
		}
		at = at.Add(interval)
		if m.rng.IntN(10) == 0 && i > 0 { // some at the end of a minute
			at = snapshot.TimeOf(at.Std().Truncate(time.Minute).Add(time.Minute))
			one.IntervalMS = int64(at - instants[i-1].Timestamp)
		}
		one.Timestamp = at
		one.Full = one.Full || i > 0 && at.Sub(instants[i-1].Timestamp) > 9*time.Minute
		instants = append(instants, one)
	}
	machine := snapshottest.NewMachine(seed, 8)
	machine.Churn, machine.ReportEnded = 0.05, true
	m.snapshots = machine.SeriesAt(instants).Snapshots
	for i := range m.snapshots {
		if m.snapshots[i].IntervalMS > 0 {
			for range m.rng.IntN(5) {
				m.add(&m.snapshots[i])
			}
		}
	}
	return m
}

// add adds a process that ended to a snapshot. Most of them are short-lived.
func (m *shortLivedMachine) add(s *snapshot.Snapshot) {
	pid := int32(10_000 + len(m.processes))
	one := snapshot.ProcessSample{
		PID: pid, PPID: new(1 + m.rng.Int32N(pid)), State: snapshot.StateEnded,
		Name:        []string{"sh", "bash", "cc1", "sed", "100%"}[m.rng.IntN(5)],
		User:        []string{"root", "build", ""}[m.rng.IntN(3)],
		Cgroup:      fmt.Sprintf("/system.slice/job-%d.service", m.rng.IntN(4)),
		StartedAt:   s.Timestamp - 1 - snapshot.Time(m.rng.Int64N(s.IntervalMS-1)),
		CommandLine: m.commandLine(),
	}
	one.ExitStatus = m.exitStatus()
	if m.rng.IntN(8) > 0 {
		one.CPUTime = new(snapshot.CPUTime(1 + m.rng.Int64N(400_000)))
	}
	if m.rng.IntN(8) > 0 {
		one.MemoryUsage = new(1<<20 + m.rng.Int64N(1<<30))
	}
	if m.rng.IntN(8) > 0 {
		one.ReadBytes, one.WriteBytes = new(4096*m.rng.Int64N(3)), new(4096*m.rng.Int64N(3))
	}
	switch m.rng.IntN(20) {
	case 0: // it may have been in the snapshot before
		one.StartedAt = s.Timestamp - snapshot.Time(s.IntervalMS) - 1000
	case 1:
		one.StartedAt = 0
	}
	s.Processes = append(s.Processes, one)
	m.processes = append(m.processes, one)
	m.commandLines = append(m.commandLines, one.CommandLine)
}

func (m *shortLivedMachine) commandLine() string {
	random := make([]byte, 6)
	for i := range random {
		random[i] = "abcXYZ0123456789"[m.rng.IntN(16)]
	}
	switch m.rng.IntN(6) {
	case 0:
		return fmt.Sprintf("sh -c 'echo %d%% done'", m.rng.IntN(3))
	case 1:
		return fmt.Sprintf("cc1 -quiet graph_heap.c -o /tmp/cc%s.s", random)
	case 2:
		return fmt.Sprintf("sed -e s/%%s/%s/ %s.conf", random, random)
	case 3:
		return ""
	case 4:
		return fmt.Sprintf("job --id=%d --token %x-Ž", 1000+m.rng.IntN(9000), random)
	}
	return "cat /etc/hosts"
}

func (m *shortLivedMachine) exitStatus() snapshot.ExitStatus {
	switch m.rng.IntN(4) {
	case 0:
		return snapshot.ExitStatus{}
	case 1:
		return snapshot.ExitStatusOf(9)
	}
	return snapshot.ExitStatusOf(m.rng.Uint32N(3) << 8)
}

// window returns a random window: of up to two hours, of hours, or before the first snapshot. Some of its ends are
// those of a minute or an hour, or a snapshot.
func (m *shortLivedMachine) window() (from, to snapshot.Time) {
	first, last := m.snapshots[0].Timestamp.Add(-time.Hour), m.snapshots[len(m.snapshots)-1].Timestamp.Add(time.Hour)
	from = first + snapshot.Time(m.rng.Int64N(int64(last-first)))
	longest := []time.Duration{30 * time.Second, 10 * time.Minute, 2 * time.Hour, 12 * time.Hour}[m.rng.IntN(4)]
	to = from + 1 + snapshot.Time(m.rng.Int64N(longest.Milliseconds()))
	for _, end := range []*snapshot.Time{&from, &to} {
		switch m.rng.IntN(8) {
		case 0:
			*end = snapshot.TimeOf(end.Std().Truncate(time.Minute))
		case 1:
			*end = snapshot.TimeOf(end.Std().Truncate(time.Hour))
		case 2:
			*end = m.snapshots[m.rng.IntN(len(m.snapshots))].Timestamp
		}
	}
	if from >= to {
		return from, from + 1000
	}
	return from, to
}
