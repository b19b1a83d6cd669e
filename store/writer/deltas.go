package writer

import (
	"fmt"
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
// the time since the previous snapshot, or the polling interval for the first.
//
// A snapshot without any delta only gets the time since the previous one if the two are about a polling interval apart.
// After a gap, it is the first one of an agent that does not know what happened in the gap.
func (p *planner) interval(s *snapshot.Snapshot, before *run, around neighbour) int64 {
	polling := int64(p.machine.config.PollingInterval * 1000)
	switch {
	case s.IntervalMS > 0:
		return s.IntervalMS
	case around.covers(s.Timestamp):
		return 0
	case before.ts != 0 && before.ts < s.Timestamp:
		gap := int64(s.Timestamp - before.ts)
		if gap <= snapshot.MaxIntervalMS && (s.Kind == snapshot.KindChanges || gap <= 2*polling || hasDeltas(s)) {
			return gap
		}
	case hasDeltas(s):
		return polling
	}
	return 0
}

// hasDeltas reports whether a snapshot has any value that depends on its interval.
func hasDeltas(s *snapshot.Snapshot) bool {
	if s.Machine.CPUUsage != nil {
		return true
	}
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
		if one.CPUMS != nil || one.CPUUsage != nil || one.ReadBytes != nil || one.WriteBytes != nil {
			return true
		}
	}
	return false
}

// A machine can do no more than maxCores and maxBytesPerSecond allow. They have a wide margin. Without a limit, the
// amounts of a single row could outweigh all others of a machine.
const (
	maxCores          = 65_536 // if the number of cores is unknown
	maxBytesPerSecond = 1 << 40
	// deltaMargin is added to the interval: an agent can report what a process used before the interval, if it could
	// not read it earlier.
	deltaMargin = 10 * time.Minute
)

// checkDeltas refuses amounts that the machine cannot reach in the snapshot's interval.
func (p *planner) checkDeltas(i int, s *snapshot.Snapshot, intervalMS int64) *snapshot.ValidationError {
	elapsedMS := intervalMS + deltaMargin.Milliseconds()
	cores := int64(maxCores)
	if p.machine.cpuCount > 0 {
		cores = int64(p.machine.cpuCount)
	}
	cpuLimit := min(elapsedMS*cores, snapshot.MaxSafeInteger)
	byteLimit := min(elapsedMS/1000*maxBytesPerSecond, snapshot.MaxSafeInteger)
	fault := func(list string, k int, field string, limit int64) *snapshot.ValidationError {
		fault := p.fault(i, snapshot.CodeInvalidField, fmt.Sprintf("%s[%d].%s", list, k, field),
			"must be at most %d, which is the limit of a machine with %d cores in %d ms", limit, cores, elapsedMS)
		fault.Limit = limit
		return fault
	}
	exceeds := func(v *int64, limit int64) bool { return v != nil && *v > limit }
	for k := range s.Processes {
		switch one := &s.Processes[k]; {
		case exceeds(one.CPUMS, cpuLimit):
			return fault("processes", k, "cpu_ms", cpuLimit)
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
