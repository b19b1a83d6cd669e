package collect

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// ProcessReader lists the processes of this machine. With refresh it also reads values that rarely change. The list is
// valid until the next call.
type ProcessReader interface {
	Read(ctx context.Context, options procfs.Options, refresh bool) ([]procfs.Process, error)
	Close()
}

// ExitSource returns the processes that have exited since the last call. The list is valid until the next call. missed
// is the number of exited processes that are not in the list, whether or not they were in a sample. complete is false
// if missed may be too low.
type ExitSource interface {
	Fetch(now time.Time) (list []exits.Process, missed int64, complete bool)
	Close()
}

// Sources are the interfaces that a Sampler reads from.
type Sources struct {
	Processes ProcessReader
	// Forks returns the number of processes and threads that have started since boot, or procfs.Unknown.
	Forks func() int64
	// Suspended returns how much of the time since boot the machine was suspended. nil means not at all.
	Suspended func() time.Duration
	// SinceBoot returns the time since boot, with suspends, the clock of Process.StartTicks. It is nil if there is
	// none.
	SinceBoot func() time.Duration
	// WatchExits starts to watch for processes that exit. It is called when a sample first needs them. It is nil
	// if the system cannot report them.
	WatchExits func() (ExitSource, error)
	// Changed returns, once, a function if the source of Processes has changed and WatchExits must be called again. The
	// function releases what the ExitSource before it has used. It is nil if that cannot happen.
	Changed func() (release func())
	// Reader returns how processes are read. It is nil if that never changes.
	Reader func() ReaderStatus
}

// ReaderStatus says how processes are read.
type ReaderStatus struct {
	// BPF is true if they are read with BPF. Failure says why they no longer are. Failures counts how often they were
	// read from /proc after that.
	BPF      bool
	Failure  string
	Failures int64
	// LostEvents counts the events that the kernel had no room for. Differences counts the processes that /proc had and
	// BPF had not.
	LostEvents  uint64
	Differences int64
}

// Sample is the machine at one instant.
type Sample struct {
	// Interval is the time since the previous sample; 0 for the first.
	Interval  time.Duration
	Machine   snapshot.MachineSnapshot
	Processes []snapshot.Process
	// Exited lists the processes that exited in the interval and whose usage in it is known.
	Exited []snapshot.Process
}

// Sampler takes samples. It is not safe for concurrent use.
type Sampler struct {
	sources Sources
	system  systemReader
	exits   ExitSource // nil if processes that exit are not watched
	logger  *slog.Logger

	last     time.Time
	previous clocks                // at the previous sample
	now      clocks                // at this sample
	totals   map[procfs.ID]*totals // nil before the first sample
	late     map[procfs.ID]bool    // processes whose command line was not read last time, and whether that is logged
	forks    int64                 // before the previous list was read
	round    uint64
	cores    int
	// deferred are exited processes that the process list still contained.
	deferred []exits.Process
	// reported are the processes that the ExitSource before reported, by pid.
	reported map[int32]reportedExit
	// missed counts the processes of this interval that no ExitSource or an earlier one has missed.
	missed missedProcesses
	// cannotWatch is true if WatchExits has failed.
	cannotWatch bool
}

// totals are the totals of a process at the previous sample.
type totals struct {
	// cpu is the CPU time that samples have reported, plus what the process had used before the first one.
	cpu                   time.Duration
	childCPU              childCPU
	oneThread             bool
	readBytes, writeBytes int64
	memory                int64
	threads, openFiles    int32
	state                 string
	round                 uint64 // of that sample
	key                   snapshot.ProcessKey
	identity              snapshot.Identity
	started               startRange
}

// numbers holds the gauges and deltas of a process in a sample. A snapshot.Process points to them. One allocation holds
// the numbers of all processes.
type numbers struct {
	gauges struct {
		memory             int64
		threads, openFiles int32
	}
	deltas struct {
		cpuTime               snapshot.CPUTime
		readBytes, writeBytes int64
	}
}

// New returns a Sampler that reads from the given sources.
func New(sources Sources, logger *slog.Logger) *Sampler {
	none := func() time.Duration { return 0 }
	if sources.SinceBoot == nil {
		sources.SinceBoot = none
	}
	if sources.Suspended == nil {
		sources.Suspended = none
	}
	return &Sampler{sources: sources, system: newSystemReader(logger), logger: logger, cores: cores()}
}

// Reader returns how processes are read. It may be called at any time.
func (s *Sampler) Reader() ReaderStatus {
	if s.sources.Reader == nil {
		return ReaderStatus{}
	}
	return s.sources.Reader()
}

// Close releases the sources.
func (s *Sampler) Close() {
	if s.exits != nil {
		s.exits.Close()
		s.exits = nil
	}
	s.sources.Processes.Close()
	s.system.close()
}

// Reset discards the previous sample. Call it after a pause. Otherwise, the first interval would contain everything
// that was used during the pause.
func (s *Sampler) Reset() {
	s.last, s.now, s.totals, s.deferred = time.Time{}, clocks{}, nil, nil
	s.system.reset()
}

// Sample takes a sample. For a full snapshot it also reads the values that rarely change, and has every CPU time.
func (s *Sampler) Sample(ctx context.Context, now time.Time, options Options, full bool) (*Sample, error) {
	s.watchExits(options)
	reading := clocks{now, s.sources.SinceBoot()}
	// A process that starts while the list is read may be missing from it, and is then new in the next list. The next
	// interval therefore counts forks from here.
	forks := s.sources.Forks()
	listed, err := s.sources.Processes.Read(ctx, options.Options, full)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	s.watchAgain(options)
	s.previous, s.now = s.now, reading
	first := s.totals == nil
	if first {
		s.totals = make(map[procfs.ID]*totals, len(listed))
	}
	out := &Sample{Processes: make([]snapshot.Process, len(listed))}
	if !first {
		out.Interval = now.Sub(s.last)
	}
	s.round++
	values := make([]numbers, len(listed))
	started := int64(0) // new processes and threads in the list
	for i := range listed {
		started += s.fill(&out.Processes[i], &listed[i], &values[i], first, full, out.Interval)
	}
	missed := s.addExited(out, options, first)
	unseen := missed.upTo(s.forkedSincePrevious() - started - int64(missed.recorded))
	s.forks = forks
	for key, before := range s.totals {
		if before.round != s.round {
			delete(s.totals, key)
		}
	}
	s.last = now
	out.Machine = s.system.read(ctx, options, full)
	s.reportLate(&out.Machine, listed)
	if unseen > 0 && !first {
		out.Machine.UnseenProcesses = &unseen
	}
	return out, nil
}

// reportLate adds the processes whose command line could not be read to the stale sources of a snapshot. It logs those
// that still cannot be read in the next sample, because on a busy machine a read may only wait for a CPU. Then it logs
// which can be read again.
func (s *Sampler) reportLate(m *snapshot.MachineSnapshot, listed []procfs.Process) {
	before := s.late
	s.late = nil
	for i := range listed {
		p := &listed[i]
		id := p.ID()
		switch {
		case p.LateCommandLine:
			if s.late == nil {
				s.late = make(map[procfs.ID]bool)
			}
			_, wasLate := before[id]
			s.late[id] = wasLate
			if len(m.Stale) < snapshot.MaxStale {
				m.Stale = append(m.Stale, fmt.Sprintf("command line of process %d", p.PID))
			}
			if wasLate && !before[id] {
				s.logger.Warn("the kernel does not return the command line of a process, which may wait for a file "+
					"system that does not answer; its last known one is recorded", "pid", p.PID, "name", p.Name)
			}
		case before[id]:
			s.logger.Info("the command line of a process can be read again", "pid", p.PID, "name", p.Name)
		}
	}
}

// forkedSincePrevious returns an upper limit of the number of processes and threads that have started since the
// previous sample, or 0 if it is unknown. Some of those that start while a list is read are counted in two intervals.
func (s *Sampler) forkedSincePrevious() int64 {
	now, before := s.sources.Forks(), s.forks
	if now == procfs.Unknown || before == procfs.Unknown {
		return 0
	}
	return now - before
}

// fill sets the values of a process in a sample. It returns how many processes and threads are new.
func (s *Sampler) fill(
	out *snapshot.Process, p *procfs.Process, n *numbers, first, full bool, interval time.Duration,
) (started int64) {
	out.ProcessKey, out.Identity = p.ProcessKey, p.Identity
	n.gauges.memory, n.gauges.threads, n.gauges.openFiles = p.Memory, p.Threads, p.OpenFiles
	out.State, out.MemoryUsage, out.Threads = p.State, memory(&n.gauges.memory), &n.gauges.threads
	if p.OpenFiles != procfs.Unknown {
		out.OpenFiles = &n.gauges.openFiles
	}
	before := s.totals[p.ID()]
	if before == nil { // a new process has used its totals since the previous sample
		before = &totals{started: startOf(p.StartTicks, s.previous, s.now)}
		if before.started.latest.Before(s.previous.monotonic.Add(-startPrecision)) {
			before.threads = p.Threads // it has started before, and was missing from the list
		}
		s.totals[p.ID()] = before
	}
	reported := p.CPU
	if !first {
		out.ReadBytes = delta(&n.deltas.readBytes, p.ReadBytes, before.readBytes)
		out.WriteBytes = delta(&n.deltas.writeBytes, p.WriteBytes, before.writeBytes)
		used := s.cpuSince(p, before, interval)
		if used > 0 && used < minCPUTime && !full && before.sameWithoutCPU(p, n) {
			used = 0
		}
		n.deltas.cpuTime = snapshot.CPUTimeOf(used)
		out.CPUTime = &n.deltas.cpuTime
		reported = before.cpu + n.deltas.cpuTime.Duration()
		started = int64(max(p.Threads-before.threads, 0))
	}
	before.childCPU.gain(p.ChildCPU, p.ExactChildCPU, first)
	*before = totals{
		cpu:        reported,
		childCPU:   before.childCPU,
		oneThread:  p.OneThread,
		readBytes:  p.ReadBytes,
		writeBytes: p.WriteBytes,
		memory:     p.Memory,
		threads:    p.Threads,
		openFiles:  p.OpenFiles,
		state:      p.State,
		round:      s.round,
		key:        p.ProcessKey,
		identity:   p.Identity,
		started:    before.started,
	}
	return started
}

// minCPUTime is the least CPU time that makes a row of its own. If nothing else of a process changed, less than that is
// carried to a later sample.
const minCPUTime = time.Millisecond

// sameWithoutCPU reports whether nothing but the CPU time of a process changed since the previous sample. n has its
// deltas.
func (t *totals) sameWithoutCPU(p *procfs.Process, n *numbers) bool {
	return t.round > 0 && n.deltas.readBytes == 0 && n.deltas.writeBytes == 0 && t.memory == p.Memory &&
		t.threads == p.Threads && t.openFiles == p.OpenFiles && t.state == p.State && t.identity == p.Identity
}

// memory returns the memory of a process, or nil if it is unknown or more than a snapshot may have.
func memory(bytes *int64) *int64 {
	if *bytes == procfs.Unknown || *bytes > snapshot.MaxMemoryBytes {
		return nil
	}
	return bytes
}

// delta stores the increase of a total in out and returns out. It returns nil if a total is unknown.
func delta(out *int64, now, before int64) *int64 {
	if now == procfs.Unknown || before == procfs.Unknown {
		return nil
	}
	*out = max(now-before, 0)
	return out
}
