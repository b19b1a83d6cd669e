package collect

import (
	"cmp"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/snapshot"
)

// maxShortLived bounds the processes in a sample that started and exited between two samples. Those with the most CPU
// time stay. A build or a configure script can start two thousand in a second, and the usual interval is 5 s. The CPU
// time of those beyond the bound belongs to no process.
const maxShortLived = 12_000

// watchExits starts or stops to watch for processes that exit, as the options say.
func (s *Sampler) watchExits(options Options) {
	switch {
	case options.ShortLived && s.exits == nil && s.sources.WatchExits != nil && !s.cannotWatch:
		source, err := s.sources.WatchExits()
		if err != nil {
			s.cannotWatch = true // do not try again
			s.logger.Debug("processes that start and exit between two samples are counted but not recorded", "why", err)
			return
		}
		s.exits = source
	case !options.ShortLived && s.exits != nil:
		s.exits.Close()
		s.exits, s.deferred = nil, nil
	}
}

// watchAgain watches for processes that exit in another way after the source of the list has changed. Both ExitSources
// are open for a moment, so that no process exits unseen, and can report the same ones. What the old one has reported
// belongs to this sample.
func (s *Sampler) watchAgain(options Options) {
	if s.sources.Changed == nil {
		return
	}
	release := s.sources.Changed()
	if release == nil {
		return
	}
	old := s.exits
	s.exits, s.cannotWatch = nil, false
	s.watchExits(options)
	release()
	if old == nil {
		return
	}
	fetched, lost, complete := old.Fetch(time.Now())
	fetched = s.withoutReported(fetched)
	s.deferred = append(s.deferred, fetched...)
	s.missed.lost, s.missed.complete = s.missed.lost+lost, s.missed.complete && complete
	old.Close()
	now := time.Now()
	if s.reported == nil {
		s.reported = make(map[int32]reportedExit, len(s.deferred))
	}
	for i := range s.deferred {
		p := &s.deferred[i]
		s.reported[p.PID] = reportedExit{began: p.Began, lastKnown: p.LastKnown, at: now, seen: now}
	}
}

// reportedExit is a process that an ExitSource has reported before the source of the list changed. The other ExitSource
// may report it too: with BPF, that is after its parent has waited for it.
type reportedExit struct {
	began     time.Time
	lastKnown bool
	at        time.Time // when the source changed
	seen      time.Time // the same, or when it was last in the list
}

const (
	// maxLateStart is by how much the start of a process is too late in a record of package exits if it was not seen.
	maxLateStart = 2 * time.Second
	// reportedFor is for how long another report of a process is expected after it was last listed.
	reportedFor = 5 * time.Second
)

// withoutReported removes the processes that the ExitSource before has reported. If that one did not have their last
// values, they stay, and its report is removed.
func (s *Sampler) withoutReported(list []exits.Process) []exits.Process {
	if len(s.reported) == 0 {
		return list
	}
	// BPF counts the time since the start of a process with the time in which the machine was suspended, taskstats
	// without.
	tolerance := maxLateStart + s.sources.Suspended()
	return slices.DeleteFunc(list, func(p exits.Process) bool {
		before, ok := s.reported[p.PID]
		isLater := p.StartTicks != 0 && p.Began.After(before.at) // the start is exact
		if !ok || isLater || p.Began.Sub(before.began).Abs() >= tolerance {
			return false
		}
		delete(s.reported, p.PID)
		if before.lastKnown && !p.LastKnown {
			isBefore := func(d exits.Process) bool { return d.PID == p.PID && d.LastKnown }
			s.deferred = slices.DeleteFunc(s.deferred, isBefore)
			return false
		}
		return true
	})
}

// forgetReported removes the processes that are not expected to be reported again.
func (s *Sampler) forgetReported() {
	if len(s.reported) == 0 {
		return
	}
	now := time.Now()
	for id, listed := range s.totals {
		if before, ok := s.reported[id.PID]; ok && listed.round == s.round {
			before.seen = now
			s.reported[id.PID] = before
		}
	}
	for pid, before := range s.reported {
		if now.Sub(before.seen) > reportedFor {
			delete(s.reported, pid)
		}
	}
}

// missedProcesses counts processes that started and exited between two samples and are in neither.
type missedProcesses struct {
	// left is how many are left out because there are too many. lost is how many more there may be: exited processes
	// that the ExitSource did not keep. They may have been in a sample.
	left, lost int64
	complete   bool // there are no others
	recorded   int  // how many that started and exited between the samples are in the sample
}

// upTo returns an upper limit of the number. started is how many processes and threads started and are in no sample.
func (m missedProcesses) upTo(started int64) int64 {
	switch {
	case !m.complete:
		return max(m.left, started)
	case m.lost > 0:
		return max(m.left, min(m.left+m.lost, started))
	}
	return m.left
}

// addExited adds the processes that have exited to a sample.
func (s *Sampler) addExited(out *Sample, options Options, first bool) (missed missedProcesses) {
	var exited []exits.Process
	if s.exits != nil {
		fetched, lost, complete := s.exits.Fetch(time.Now())
		missed.lost, missed.complete = lost+s.missed.lost, complete && s.missed.complete
		exited = s.withoutReported(fetched)
		s.forgetReported()
	}
	s.missed = missedProcesses{complete: s.exits != nil}
	if len(s.deferred) > 0 { // also if there is no ExitSource any more
		exited = append(s.deferred, exited...)
		s.deferred = nil
	}
	if len(exited) == 0 || first {
		return missed
	}
	byPID := s.totalsByPID()
	ended := endedProcesses{
		list: make([]endedProcess, 0, len(exited)), at: make(map[snapshot.ProcessKey]int, len(exited)),
	}
	// A process that started after this may be missing from the list and still be in the next one, as a zombie.
	listedFrom := s.now.monotonic.Add(-startPrecision)
	for i := range exited {
		p := &exited[i]
		before := s.findExited(p, byPID[p.PID])
		if before != nil && before.round != s.round {
			byPID[p.PID] = without(byPID[p.PID], before) // later records are of later processes
		}
		switch {
		case before == nil && p.Began.After(listedFrom):
			if !s.deferExit(p) {
				missed.left++
			}
		case before == nil:
			key := snapshot.ProcessKey{PID: p.PID, StartedAt: p.Started}
			ended.add(s.newEnded(p, key, nil, out.Interval))
		case before.round == s.round: // it exited, or was reaped, after the list was made
			s.deferExit(p)
		default:
			ended.add(s.newEnded(p, before.key, before, out.Interval))
		}
	}
	s.assignChildCPU(ended.list, byPID)
	shortLived := make([]*endedProcess, 0, len(ended.list))
	out.Exited = make([]snapshot.Process, 0, len(ended.list))
	for i := range ended.list {
		switch e := &ended.list[i]; {
		case e.before == nil:
			shortLived = append(shortLived, e)
		case e.isKnown, e.Exit.HasExitStatus():
			out.Exited = append(out.Exited, endEntry(e, e.before, options))
		}
	}
	if len(shortLived) > maxShortLived {
		slices.SortStableFunc(shortLived, func(a, b *endedProcess) int { return cmp.Compare(b.cpu, a.cpu) })
		missed.left += int64(len(shortLived) - maxShortLived)
		shortLived = shortLived[:maxShortLived]
	}
	since := s.previous.monotonic.Add(startPrecision)
	for _, e := range shortLived {
		out.Exited = append(out.Exited, onlyEntry(e, options))
		if e.Began.After(since) { // others started in the interval before, and were deferred
			missed.recorded++
		}
	}
	return missed
}

// endedProcesses is a list with each process once. A server refuses a snapshot that has one twice.
type endedProcesses struct {
	list []endedProcess
	at   map[snapshot.ProcessKey]int // the place in the list
}

// add adds a process. If the list has it, the report with an exit status stays.
func (l *endedProcesses) add(e endedProcess) {
	i, ok := l.at[e.key]
	switch {
	case !ok:
		l.at[e.key] = len(l.list)
		l.list = append(l.list, e)
	case !l.list[i].Exit.HasExitStatus() && e.Exit.HasExitStatus():
		l.list[i] = e
	}
}

// totalsByPID returns the listed processes of each pid: one, or more if the pid was used again.
func (s *Sampler) totalsByPID() map[int32][]*totals {
	byPID := make(map[int32][]*totals, len(s.totals))
	all := make([]*totals, 0, len(s.totals)) // instead of an allocation for each pid
	for id, listed := range s.totals {
		if same := byPID[id.PID]; same != nil {
			byPID[id.PID] = append(same, listed)
			continue
		}
		all = append(all, listed)
		byPID[id.PID] = all[len(all)-1 : len(all) : len(all)]
	}
	return byPID
}

// deferExit keeps the record of an exit for the next sample. It returns false if there are too many.
func (s *Sampler) deferExit(p *exits.Process) bool {
	if len(s.deferred) >= exits.MaxPending {
		return false
	}
	s.deferred = append(s.deferred, *p)
	return true
}

// endEntry returns the entry of an ended process, with its usage since a sample.
func endEntry(e *endedProcess, before *totals, options Options) snapshot.Process {
	out := snapshot.Process{ProcessKey: e.key, Identity: before.identity}
	out.State, out.Exit = snapshot.StateEnded, e.Exit
	n := numbers{}
	n.deltas.cpuTime = e.cpuTime
	if e.isKnown {
		out.CPUTime = &n.deltas.cpuTime
	}
	if options.IO && (e.Complete || before.oneThread && !e.LastKnown) {
		out.ReadBytes = delta(&n.deltas.readBytes, e.ReadBytes, before.readBytes)
		out.WriteBytes = delta(&n.deltas.writeBytes, e.WriteBytes, before.writeBytes)
	}
	return out
}

// onlyEntry returns the entry of an ended process that was in no sample. It contains the usage of its whole life.
func onlyEntry(e *endedProcess, options Options) snapshot.Process {
	out := endEntry(e, &totals{identity: e.Identity}, options)
	peak := e.PeakMemory // the record is only valid until the next sample
	out.MemoryUsage = memory(&peak)
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
