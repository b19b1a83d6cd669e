package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// rawProcess is a process as the operating system shows it: amounts are totals
// since its start.
type rawProcess struct {
	snapshot.ProcessKey
	snapshot.Identity
	state                 string
	cpuMS                 int64
	memory                int64
	threads               int32
	readBytes, writeBytes int64 // unknown where we may not know
	openFiles             int32 // the same
}

// unknown is a total that cannot be read.
const unknown = -1

// processReader lists the processes of this machine. There is one an operating
// system. refresh asks it to read again what it takes to be unchanged. The list is valid
// until the next call.
type processReader interface {
	read(ctx context.Context, want wanted, refresh bool) ([]rawProcess, error)
	close()
}

// sample is the machine at one instant.
type sample struct {
	interval  time.Duration // since the sample before, 0 for the first
	machine   snapshot.MachineSnapshot
	processes []snapshot.Process
	// ended are those that ended in the interval, as far as is known what they used in it.
	ended []snapshot.Process
}

// sampler turns totals into amounts per interval.
type sampler struct {
	processes processReader
	system    *systemReader
	exits     exitSource // nil where there is none
	forks     func() int64
	watch     func(*scrubber) (exitSource, error) // tried once, when it is first wanted
	scrub     *scrubber
	logger    *slog.Logger

	last   time.Time
	totals map[snapshot.ProcessKey]*totals // nil before the first sample
	begun  int64                           // what forks told
	round  uint64
	// late are endings of processes that the list still had.
	late []ending
}

// totals are those of the sample before, and when that was.
type totals struct {
	cpuMS, readBytes, writeBytes int64
	threads                      int32
	round                        uint64
	identity                     snapshot.Identity
}

// amounts is the numbers of a process in a sample, which it has pointers to: one piece of
// memory for all of a sample's.
type amounts struct {
	cpuMS, memory, readBytes, writeBytes int64
	threads, openFiles                   int32
}

func newSampler(stateDir string, scrub *scrubber, logger *slog.Logger) (*sampler, error) {
	processes, err := newProcessReader(stateDir, scrub)
	if err != nil {
		return nil, fmt.Errorf("prepare to read processes: %w", err)
	}
	return &sampler{
		processes: processes,
		system:    &systemReader{},
		forks:     forks,
		watch:     watchExits,
		scrub:     scrub,
		logger:    logger,
	}, nil
}

// close gives back what is kept open.
func (s *sampler) close() {
	s.processes.close()
	if s.exits != nil {
		s.exits.close()
		s.exits = nil
	}
}

// forget makes the next sample a first one: after a pause the totals of long ago
// would all be spent in one interval.
func (s *sampler) forget() {
	s.last, s.totals, s.late = time.Time{}, nil, nil
	s.system.forget()
}

// sample looks at the machine now. refresh has it look at all, and not only at what can
// have changed.
func (s *sampler) sample(ctx context.Context, now time.Time, want wanted, refresh bool) (*sample, error) {
	s.watchExits(want)
	raw, err := s.processes.read(ctx, want, refresh)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	first := s.totals == nil
	if first {
		s.totals = make(map[snapshot.ProcessKey]*totals, len(raw))
	}
	out := &sample{processes: make([]snapshot.Process, len(raw))}
	if !first {
		out.interval = now.Sub(s.last)
	}
	s.round++
	numbers := make([]amounts, len(raw))
	begun := int64(0) // processes and threads that the list shows to be new
	for i := range raw {
		begun += s.spent(&raw[i], &out.processes[i], &numbers[i], first)
	}
	forked := s.forked()
	missed, counted := s.ended(out, want, first)
	for key, before := range s.totals {
		if before.round != s.round {
			delete(s.totals, key)
		}
	}
	s.last = now
	out.machine = s.system.read(ctx, want, refresh)
	if !counted {
		missed = max(missed, forked-begun-int64(len(out.ended)))
	}
	if missed > 0 && !first {
		out.machine.UnseenProcesses = &missed
	}
	return out, nil
}

// forked returns how many processes and threads have begun since it was asked last.
func (s *sampler) forked() int64 {
	now := s.forks()
	before := s.begun
	s.begun = now
	if now == unknown || before == unknown {
		return 0
	}
	return now - before
}

// spent fills in a process: the amounts are what its totals have grown by. It returns how
// many processes and threads are new.
func (s *sampler) spent(r *rawProcess, p *snapshot.Process, n *amounts, first bool) (begun int64) {
	p.ProcessKey, p.Identity = r.ProcessKey, r.Identity
	n.memory, n.threads, n.openFiles = r.memory, r.threads, r.openFiles
	p.State, p.MemoryUsage, p.Threads = r.state, &n.memory, &n.threads
	if r.openFiles != unknown {
		p.OpenFiles = &n.openFiles
	}
	before := s.totals[r.ProcessKey]
	if before == nil { // a process that was not there before has spent its total since then
		before = &totals{}
		s.totals[r.ProcessKey] = before
	}
	if !first {
		n.cpuMS = max(r.cpuMS-before.cpuMS, 0) // a total may be corrected downwards
		p.CPUMS = &n.cpuMS
		p.ReadBytes = since(&n.readBytes, r.readBytes, before.readBytes)
		p.WriteBytes = since(&n.writeBytes, r.writeBytes, before.writeBytes)
		begun = int64(max(r.threads-before.threads, 0))
	}
	*before = totals{
		cpuMS:      r.cpuMS,
		readBytes:  r.readBytes,
		writeBytes: r.writeBytes,
		threads:    r.threads,
		round:      s.round,
		identity:   r.Identity,
	}
	return begun
}

// since puts what a total has grown by into spent, and returns it; nil if that is not
// known.
func since(spent *int64, now, before int64) *int64 {
	if now == unknown || before == unknown {
		return nil
	}
	*spent = max(now-before, 0)
	return spent
}
