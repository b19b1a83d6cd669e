package agent

import (
	"cmp"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// ending is the end of a process, with what it used in all its life.
type ending struct {
	pid                   int32
	identity              snapshot.Identity
	started               snapshot.Time // to a fraction of a second
	cpuMS, peakMemory     int64
	readBytes, writeBytes int64
	// whole tells that the amounts are all that it used: its threads were watched from
	// its start on, or it had one.
	whole bool
}

// exitSource tells which processes have ended since it was asked last. missed is how
// many more there were; complete is false if some may not even be counted.
type exitSource interface {
	take(now time.Time) (endings []ending, missed int64, complete bool)
	close()
}

const (
	// maxEndings bounds the endings that wait for the next sample.
	maxEndings = 4000
	// maxEndingText bounds their command lines, in bytes.
	maxEndingText = 1 << 20
	// maxPassed bounds those that one snapshot tells of, the ones with the most CPU time.
	maxPassed = 500
)

// startSlack is how far apart two figures of one process's start may be: that of its
// ending is worked out from when it was fetched and how long it lived.
const startSlack = 2 * time.Second

// watchExits begins or ends to watch, as is wanted.
func (s *sampler) watchExits(want wanted) {
	switch {
	case want.shortLived && s.exits == nil && s.watch != nil:
		var err error
		if s.exits, err = s.watch(s.scrub); err != nil {
			s.exits, s.watch = nil, nil // once is enough
			s.logger.Debug("processes that begin and end between two snapshots are counted, not recorded", "why", err)
		}
	case !want.shortLived && s.exits != nil:
		s.exits.close()
		s.exits = nil
	}
}

// ended adds the processes that ended to a sample. missed is how many are known to be
// left out; counted tells that there are no others.
func (s *sampler) ended(out *sample, want wanted, first bool) (missed int64, counted bool) {
	if s.exits == nil {
		return 0, false
	}
	endings, missed, counted := s.exits.take(time.Now())
	endings = append(s.late, endings...)
	s.late = nil
	if len(endings) == 0 || first {
		return missed, counted
	}
	byPID := make(map[int32][]snapshot.ProcessKey)
	for key := range s.totals {
		byPID[key.PID] = append(byPID[key.PID], key)
	}
	passed := make([]*ending, 0, len(endings))
	for i := range endings {
		one := &endings[i]
		key, known := one.among(byPID[one.pid])
		switch before := s.totals[key]; {
		case !known:
			passed = append(passed, one)
		case before.round == s.round: // it is listed: it was reaped, or ended, after the list was made
			if len(s.late) < maxEndings {
				s.late = append(s.late, *one)
			}
		case one.whole && one.cpuMS >= before.cpuMS:
			out.ended = append(out.ended, one.process(key, before, want))
		}
	}
	slices.SortStableFunc(passed, func(a, b *ending) int { return cmp.Compare(b.cpuMS, a.cpuMS) })
	if len(passed) > maxPassed {
		missed += int64(len(passed) - maxPassed)
		passed = passed[:maxPassed]
	}
	for _, one := range passed {
		out.ended = append(out.ended, one.process(snapshot.ProcessKey{PID: one.pid, StartedAt: one.started}, nil, want))
	}
	return missed, counted
}

// among finds the process that ended among those of its pid.
func (e *ending) among(keys []snapshot.ProcessKey) (snapshot.ProcessKey, bool) {
	for _, key := range keys {
		if key.StartedAt.Sub(e.started).Abs() <= startSlack {
			return key, true
		}
	}
	return snapshot.ProcessKey{}, false
}

// process is the last entry of a process: what it used since the sample before, or in all
// its life if that had it not.
func (e *ending) process(key snapshot.ProcessKey, before *totals, want wanted) snapshot.Process {
	p := snapshot.Process{ProcessKey: key, Identity: e.identity}
	p.State = snapshot.StateEnded
	if p.Name == "" {
		p.Name = "?"
	}
	if before == nil {
		before = &totals{}
		p.MemoryUsage = &e.peakMemory
		if !want.commandLines {
			p.CommandLine = ""
		}
		if !want.cgroups {
			p.Cgroup = ""
		}
	} else {
		p.Identity = before.identity
	}
	var spent amounts
	spent.cpuMS = e.cpuMS - before.cpuMS
	p.CPUMS = &spent.cpuMS
	if want.io {
		p.ReadBytes = since(&spent.readBytes, e.readBytes, before.readBytes)
		p.WriteBytes = since(&spent.writeBytes, e.writeBytes, before.writeBytes)
	}
	return p
}
