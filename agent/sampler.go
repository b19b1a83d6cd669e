package agent

import (
	"context"
	"fmt"
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
}

// unknown is a total that cannot be read.
const unknown = -1

// processReader lists the processes of this machine. There is one an operating
// system. refresh asks it to read again what it takes to be unchanged. The list is valid
// until the next call.
type processReader interface {
	read(ctx context.Context, refresh bool) ([]rawProcess, error)
	close()
}

// sample is the machine at one instant.
type sample struct {
	at        snapshot.Time
	interval  time.Duration // since the sample before, 0 for the first
	machine   snapshot.MachineSnapshot
	processes []snapshot.Process
}

// sampler turns totals into amounts per interval.
type sampler struct {
	processes processReader
	system    *systemReader

	last   time.Time
	totals map[snapshot.ProcessKey]*totals // nil before the first sample
	round  uint64
}

// totals are those of the sample before, and when that was.
type totals struct {
	cpuMS, readBytes, writeBytes int64
	round                        uint64
}

// amounts is the numbers of a process in a sample, which it has pointers to: one piece of
// memory for all of a sample's.
type amounts struct {
	cpuMS, memory, readBytes, writeBytes int64
	threads                              int32
}

func newSampler(stateDir string) (*sampler, error) {
	processes, err := newProcessReader(stateDir)
	if err != nil {
		return nil, fmt.Errorf("prepare to read processes: %w", err)
	}
	return &sampler{processes: processes, system: &systemReader{}}, nil
}

// close gives back what is kept open.
func (s *sampler) close() { s.processes.close() }

// forget makes the next sample a first one: after a pause the totals of long ago
// would all be spent in one interval.
func (s *sampler) forget() {
	s.last, s.totals = time.Time{}, nil
	s.system.forget()
}

func (s *sampler) sample(ctx context.Context, refresh bool) (*sample, error) {
	now := time.Now()
	raw, err := s.processes.read(ctx, refresh)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	first := s.totals == nil
	if first {
		s.totals = make(map[snapshot.ProcessKey]*totals, len(raw))
	}
	out := &sample{at: snapshot.TimeOf(now), processes: make([]snapshot.Process, len(raw))}
	if !first {
		out.interval = now.Sub(s.last)
	}
	s.round++
	numbers := make([]amounts, len(raw))
	for i := range raw {
		s.spent(&raw[i], &out.processes[i], &numbers[i], first)
	}
	if len(s.totals) > len(raw) {
		for key, before := range s.totals {
			if before.round != s.round {
				delete(s.totals, key)
			}
		}
	}
	s.last = now
	out.machine = s.system.read(ctx)
	return out, nil
}

// spent fills in a process: the amounts are what its totals have grown by.
func (s *sampler) spent(r *rawProcess, p *snapshot.Process, n *amounts, first bool) {
	p.ProcessKey, p.Identity = r.ProcessKey, r.Identity
	n.memory, n.threads = r.memory, r.threads
	p.State, p.MemoryUsage, p.Threads = r.state, &n.memory, &n.threads
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
	}
	*before = totals{cpuMS: r.cpuMS, readBytes: r.readBytes, writeBytes: r.writeBytes, round: s.round}
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
