package writer

import "github.com/snapwatch/snapwatch/snapshot"

// gauges is the part of a sample that is still valid after its interval: the values that are carried
// forward, and which of the others were reported. It keeps no pointer into the batch.
type gauges struct {
	memory    int64
	threads   int32
	openFiles int32
	state     byte // 0 if unknown
	reported  reported
}

// reported is the set of values that a sample contained.
type reported uint8

const (
	reportedCPU reported = 1 << iota
	reportedMemory
	reportedThreads
	reportedOpenFiles
	reportedRead
	reportedWrite
)

func gaugesOf(v *snapshot.Values) gauges {
	var g gauges
	if v.State != "" {
		g.state = v.State[0]
	}
	if v.CPUMS != nil {
		g.reported |= reportedCPU
	}
	if v.MemoryUsage != nil {
		g.memory, g.reported = *v.MemoryUsage, g.reported|reportedMemory
	}
	if v.Threads != nil {
		g.threads, g.reported = *v.Threads, g.reported|reportedThreads
	}
	if v.OpenFiles != nil {
		g.openFiles, g.reported = *v.OpenFiles, g.reported|reportedOpenFiles
	}
	if v.ReadBytes != nil {
		g.reported |= reportedRead
	}
	if v.WriteBytes != nil {
		g.reported |= reportedWrite
	}
	return g
}

// zero is the delta of a process that used nothing.
var zero int64

// values returns the sample of a process that used nothing and whose gauges are unchanged. Its
// pointers point into g.
func (g *gauges) values() snapshot.Values {
	var v snapshot.Values
	if g.state != 0 {
		v.State = string(g.state)
	}
	if g.reported&reportedCPU != 0 {
		v.CPUMS = &zero
	}
	if g.reported&reportedMemory != 0 {
		v.MemoryUsage = &g.memory
	}
	if g.reported&reportedThreads != 0 {
		v.Threads = &g.threads
	}
	if g.reported&reportedOpenFiles != 0 {
		v.OpenFiles = &g.openFiles
	}
	if g.reported&reportedRead != 0 {
		v.ReadBytes = &zero
	}
	if g.reported&reportedWrite != 0 {
		v.WriteBytes = &zero
	}
	return v
}
