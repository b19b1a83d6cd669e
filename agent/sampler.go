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
	readBytes, writeBytes *int64 // nil where we may not know
}

// processReader lists the processes of this machine. There is one an operating
// system. refresh asks it to read again what it caches of identities.
type processReader interface {
	read(ctx context.Context, refresh bool) ([]rawProcess, error)
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
	totals map[snapshot.ProcessKey]totals
}

type totals struct {
	cpuMS                 int64
	readBytes, writeBytes *int64
}

func newSampler(stateDir string) (*sampler, error) {
	processes, err := newProcessReader(stateDir)
	if err != nil {
		return nil, fmt.Errorf("prepare to read processes: %w", err)
	}
	return &sampler{processes: processes, system: &systemReader{}}, nil
}

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
	out := &sample{at: snapshot.TimeOf(now), processes: make([]snapshot.Process, len(raw))}
	if !first {
		out.interval = now.Sub(s.last)
	}
	next := make(map[snapshot.ProcessKey]totals, len(raw))
	for i := range raw {
		r := &raw[i]
		p := &out.processes[i]
		p.ProcessKey, p.Identity = r.ProcessKey, r.Identity
		p.State, p.MemoryUsage, p.Threads = r.state, &r.memory, &r.threads
		if !first {
			// A process that was not there before has spent its total since then.
			before := s.totals[r.ProcessKey]
			p.CPUMS = since(&r.cpuMS, &before.cpuMS)
			p.ReadBytes = since(r.readBytes, before.readBytes)
			p.WriteBytes = since(r.writeBytes, before.writeBytes)
		}
		next[r.ProcessKey] = totals{r.cpuMS, r.readBytes, r.writeBytes}
	}
	s.last, s.totals = now, next
	out.machine = s.system.read(ctx)
	return out, nil
}

// since returns now - before, at least 0: a total may be corrected downwards.
func since(now, before *int64) *int64 {
	if now == nil {
		return nil
	}
	spent := *now
	if before != nil {
		spent -= *before
	}
	spent = max(spent, 0)
	return &spent
}
