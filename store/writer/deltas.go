package writer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// slack is how much a snapshot's interval may differ from the time since the snapshot before it, if there is none in
// between.
func slack(intervalMS int64) int64 { return intervalMS/50 + 5 }

// continues reports whether no snapshot fits between the end of a run and a full snapshot.
func continues(before *run, s *snapshot.Snapshot, intervalMS int64) bool {
	return intervalMS > 0 && int64(s.Timestamp-before.ts)-intervalMS <= intervalMS/2
}

// interval returns the milliseconds that the deltas of a snapshot cover, or 0 if that is unknown: the agent's value, or
// the time since the previous snapshot, or the polling interval for the first. It is 0 if the interval of a stored
// snapshot covers that time.
//
// The time since the previous snapshot may be a gap. Amounts, such as cpu_ms, can only be those of the whole time.
// Percentages can be those of its last seconds, so the time must be about as long as the machine's intervals usually
// are. A full snapshot with neither is the first one of a restarted agent and says nothing about the time before it, if
// the machine has an agent or recent snapshots with usage.
func (p *planner) interval(ctx context.Context, s *snapshot.Snapshot, before *run, around neighbour) (int64, error) {
	polling := int64(p.machine.config.PollingInterval * 1000)
	switch {
	case around.covers(s.Timestamp):
		return 0, nil
	case s.IntervalMS > 0:
		return s.IntervalMS, nil
	case before.ts == 0 || before.ts >= s.Timestamp:
		if hasAmounts(s) || hasPercentages(s) {
			return polling, nil
		}
		return 0, nil
	}
	elapsed := int64(s.Timestamp - before.ts)
	switch {
	case elapsed > snapshot.MaxIntervalMS:
		return 0, nil
	case s.Kind == snapshot.KindChanges || hasAmounts(s):
		return elapsed, nil
	case !hasPercentages(s):
		if elapsed > 2*polling {
			return 0, nil
		}
		if p.machine.hasAgent { // which sends the interval of every sample but its first
			return 0, nil
		}
		since := s.Timestamp.Add(-restartWindow) - snapshot.Time(2*polling)
		if err := p.w.loadLastUsage(ctx, p.machine.id, before, since); err != nil || before.lastUsage >= since {
			return 0, err
		}
		return elapsed, nil
	case elapsed <= 2*polling:
		return elapsed, nil
	}
	usual, err := p.usualSpacing(ctx, before)
	if err != nil || elapsed > 2*usual {
		return 0, err
	}
	return elapsed, nil
}

// A full snapshot without usage is the first one of a restarted agent if a snapshot with usage precedes it by at most
// restartWindow and two polling intervals. It is that long because an agent can restart several times in a row.
const restartWindow = 10 * time.Minute

// secondSpacing is assumed as the usual time between the snapshots of a machine that has sent one so far.
const secondSpacing = time.Minute

// usualSpacing returns the usual time between a machine's snapshots, in milliseconds: the shorter of the last two
// times, so that it is not a single gap. It is 0 if that is longer than any polling interval.
func (p *planner) usualSpacing(ctx context.Context, before *run) (int64, error) {
	if err := p.w.loadSpacings(ctx, p.machine.id, before); err != nil {
		return 0, err
	}
	usual := before.spacings[0]
	if earlier := before.spacings[1]; earlier > 0 {
		usual = min(usual, earlier)
	}
	if usual == 0 {
		return secondSpacing.Milliseconds(), nil
	}
	if usual > snapshot.MaxPollingInterval*1000 {
		return 0, nil
	}
	return usual, nil
}

// usageAfter records in a run whether its last snapshot has usage. before is the run that the snapshot follows.
func (r *run) usageAfter(before *run, s *snapshot.Snapshot) {
	r.lastUsage, r.usageLoaded = before.lastUsage, before.usageLoaded || before.ts == 0
	if hasAmounts(s) || hasPercentages(s) {
		r.lastUsage, r.usageLoaded = s.Timestamp, true
	}
}

// withoutAmounts returns a copy of a snapshot without CPU times and byte counts, except those of processes that ended.
func withoutAmounts(s *snapshot.Snapshot) *snapshot.Snapshot {
	c := *s
	c.Processes = slices.Clone(s.Processes)
	for i := range c.Processes {
		if one := &c.Processes[i]; !one.Ended() {
			one.CPUTime, one.ReadBytes, one.WriteBytes = nil, nil, nil
		}
	}
	c.Machine.Disks = slices.Clone(s.Machine.Disks)
	for i := range c.Machine.Disks {
		c.Machine.Disks[i].ReadBytes, c.Machine.Disks[i].WriteBytes = nil, nil
	}
	c.Machine.Interfaces = slices.Clone(s.Machine.Interfaces)
	for i := range c.Machine.Interfaces {
		c.Machine.Interfaces[i].ReceivedBytes, c.Machine.Interfaces[i].SentBytes = nil, nil
	}
	return &c
}

// hasPercentages reports whether a snapshot has a CPU usage in percent.
func hasPercentages(s *snapshot.Snapshot) bool {
	return s.Machine.CPUUsage != nil ||
		slices.ContainsFunc(s.Processes, func(one snapshot.ProcessSample) bool { return one.CPUUsage != nil })
}

// hasAmounts reports whether a snapshot has CPU times or byte counts.
func hasAmounts(s *snapshot.Snapshot) bool {
	for i := range s.Machine.Disks {
		if s.Machine.Disks[i].ReadBytes != nil || s.Machine.Disks[i].WriteBytes != nil {
			return true
		}
	}
	for i := range s.Machine.Interfaces {
		if s.Machine.Interfaces[i].ReceivedBytes != nil || s.Machine.Interfaces[i].SentBytes != nil {
			return true
		}
	}
	for i := range s.Processes {
		one := &s.Processes[i]
		if one.CPUTime != nil || one.ReadBytes != nil || one.WriteBytes != nil {
			return true
		}
	}
	return false
}

// maxCores is assumed as the number of cores if that is unknown.
const maxCores = snapshot.MaxUsage / 100

// checkDeltas refuses amounts that the machine cannot reach in the snapshot's interval.
func (p *planner) checkDeltas(i int, s *snapshot.Snapshot, intervalMS int64) *snapshot.ValidationError {
	elapsedMS := intervalMS + snapshot.DeltaMargin.Milliseconds()
	cores := int64(maxCores)
	if p.machine.cpuCount > 0 { // a virtual machine can get more while it runs
		cores = int64(max(p.machine.cpuCount, len(s.Machine.Cores)))
	}
	cpuLimit := min(elapsedMS*cores, int64(snapshot.MaxCPUTime)/1000) // in milliseconds
	byteLimit := min(elapsedMS/1000*snapshot.MaxBytesPerSecond, snapshot.MaxSafeInteger)
	fault := func(list string, k int, field string, limit int64) *snapshot.ValidationError {
		fault := p.fault(i, snapshot.CodeInvalidField, fmt.Sprintf("%s[%d].%s", list, k, field),
			"must be at most %d, which is the limit of a machine with %d cores in %d ms", limit, cores, elapsedMS)
		fault.Limit = limit
		return fault
	}
	exceeds := func(v *int64, limit int64) bool { return v != nil && *v > limit }
	for k := range s.Processes {
		switch one := &s.Processes[k]; {
		case one.CPUTime != nil && *one.CPUTime > snapshot.CPUTime(cpuLimit*1000):
			return fault("processes", k, "cpu_ms", cpuLimit)
		case one.CPUUsage != nil && *one.CPUUsage*float64(intervalMS)/100 > float64(cpuLimit):
			return fault("processes", k, "cpu_usage", 100*cpuLimit/intervalMS)
		case exceeds(one.ReadBytes, byteLimit):
			return fault("processes", k, "read_bytes", byteLimit)
		case exceeds(one.WriteBytes, byteLimit):
			return fault("processes", k, "write_bytes", byteLimit)
		}
	}
	for k := range s.Machine.Disks {
		switch one := &s.Machine.Disks[k]; {
		case exceeds(one.ReadBytes, byteLimit):
			return fault("machine_snapshot.disks", k, "read_bytes", byteLimit)
		case exceeds(one.WriteBytes, byteLimit):
			return fault("machine_snapshot.disks", k, "write_bytes", byteLimit)
		}
	}
	for k := range s.Machine.Interfaces {
		switch one := &s.Machine.Interfaces[k]; {
		case exceeds(one.ReceivedBytes, byteLimit):
			return fault("machine_snapshot.interfaces", k, "received_bytes", byteLimit)
		case exceeds(one.SentBytes, byteLimit):
			return fault("machine_snapshot.interfaces", k, "sent_bytes", byteLimit)
		}
	}
	return nil
}
