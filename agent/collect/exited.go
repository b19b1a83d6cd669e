package collect

import (
	"cmp"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/snapshot"
)

const (
	// maxShortLived bounds the processes in a sample that started and exited between two samples. Those with the most
	// CPU time stay.
	maxShortLived = 500

	// startTolerance is how far two start times of one process may differ. The start of an exited process is computed
	// from the time when its exit was fetched and how long it lived.
	startTolerance = 2 * time.Second
)

// watchExits starts or stops to watch for processes that exit, as the options say.
func (s *Sampler) watchExits(options Options) {
	switch {
	case options.ShortLived && s.exits == nil && s.sources.WatchExits != nil:
		source, err := s.sources.WatchExits()
		if err != nil {
			s.sources.WatchExits = nil // do not try again
			s.logger.Debug("processes that start and exit between two samples are counted but not recorded", "why", err)
			return
		}
		s.exits = source
	case !options.ShortLived && s.exits != nil:
		s.exits.Close()
		s.exits = nil
	}
}

// addExited adds the processes that have exited to a sample. missed is how many are left out. complete is false if
// there may be more.
func (s *Sampler) addExited(out *Sample, options Options, first bool) (missed int64, complete bool) {
	if s.exits == nil {
		return 0, false
	}
	fetched, missed, complete := s.exits.Fetch(time.Now())
	exited := append(s.deferred, fetched...)
	s.deferred = nil
	if len(exited) == 0 || first {
		return missed, complete
	}
	byPID := make(map[int32][]snapshot.ProcessKey)
	for key := range s.totals {
		byPID[key.PID] = append(byPID[key.PID], key)
	}
	shortLived := make([]*exits.Process, 0, len(exited))
	for i := range exited {
		p := &exited[i]
		key, sampled := findKey(p, byPID[p.PID])
		switch before := s.totals[key]; {
		case !sampled:
			shortLived = append(shortLived, p)
		case before.round == s.round: // it exited, or was reaped, after the list was made
			if len(s.deferred) < exits.MaxPending {
				s.deferred = append(s.deferred, *p)
			}
		case p.Complete && p.CPUMS >= before.cpuMS:
			out.Exited = append(out.Exited, lastEntry(p, key, before, options))
		}
	}
	slices.SortStableFunc(shortLived, func(a, b *exits.Process) int { return cmp.Compare(b.CPUMS, a.CPUMS) })
	if len(shortLived) > maxShortLived {
		missed += int64(len(shortLived) - maxShortLived)
		shortLived = shortLived[:maxShortLived]
	}
	for _, p := range shortLived {
		key := snapshot.ProcessKey{PID: p.PID, StartedAt: p.Started}
		out.Exited = append(out.Exited, onlyEntry(p, key, options))
	}
	return missed, complete
}

// findKey returns the key of an exited process, given the keys with its pid.
func findKey(p *exits.Process, keys []snapshot.ProcessKey) (snapshot.ProcessKey, bool) {
	for _, key := range keys {
		if key.StartedAt.Sub(p.Started).Abs() <= startTolerance {
			return key, true
		}
	}
	return snapshot.ProcessKey{}, false
}

// lastEntry returns the entry of an exited process that was in the previous sample. It contains the usage since then.
func lastEntry(p *exits.Process, key snapshot.ProcessKey, before *totals, options Options) snapshot.Process {
	out := snapshot.Process{ProcessKey: key, Identity: before.identity}
	out.State = snapshot.StateEnded
	var n numbers
	n.deltas.cpuMS = p.CPUMS - before.cpuMS
	out.CPUMS = &n.deltas.cpuMS
	if options.IO {
		out.ReadBytes = delta(&n.deltas.readBytes, p.ReadBytes, before.readBytes)
		out.WriteBytes = delta(&n.deltas.writeBytes, p.WriteBytes, before.writeBytes)
	}
	return out
}

// onlyEntry returns the entry of an exited process that was in no sample. It contains the usage of its whole life.
func onlyEntry(p *exits.Process, key snapshot.ProcessKey, options Options) snapshot.Process {
	out := lastEntry(p, key, &totals{identity: p.Identity}, options)
	out.MemoryUsage = memory(&p.PeakMemory)
	if out.Name == "" {
		out.Name = "?"
	}
	if !options.CommandLines {
		out.CommandLine = ""
	}
	if !options.Cgroups {
		out.Cgroup = ""
	}
	return out
}
