package schema

import (
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// StateExited is the state of the last row of a process that exited without a last sample. What it used since the row
// before is unknown. A process with a last sample has snapshot.StateEnded instead.
const StateExited = "exited"

// IsGone reports whether a row with this state is the last one of its process.
func IsGone(state string) bool { return state == StateExited || state == snapshot.StateEnded }

// Sample is a row of process_samples. Samples are by far the most rows, so they are encoded without
// a table of columns: the columns and their order are those of SampleColumns, Sample.AppendCopy and
// ValuesDest.
type Sample struct {
	Timestamp snapshot.Time
	Process   int64
	Machine   int32
	// InFull is whether the row belongs to a full snapshot.
	InFull bool
	Weight Weight
	Values snapshot.Values
}

// Weight is the time that a sample accounts for: since its process's sample before it.
type Weight struct {
	MS int32
	// MemoryMean is the mean memory in that time, nil if it is that of the sample.
	MemoryMean *int64
}

const (
	// SampleColumns are the columns of process_samples, in the order of AppendCopy.
	SampleColumns = "ts, process, machine, in_full, hour, weight_ms, memory_mean, cpu_us, " + otherValues
	// ValueColumns are the expressions that ValuesDest scans.
	ValueColumns = CPUTime + ", " + otherValues
	otherValues  = "memory_usage, threads, open_files, read_bytes, write_bytes, state"
	// CPUTime is the CPU time of a row of process_samples in microseconds. Earlier versions stored milliseconds.
	CPUTime = "coalesce(cpu_us, cpu_ms * 1000)"
)

var sampleColumns = strings.Count(SampleColumns, ",") + 1

// AppendCopy appends the row in the binary format of COPY.
func (s *Sample) AppendCopy(b []byte) []byte {
	v := &s.Values
	b = appendRowHeader(b, sampleColumns)
	b = appendTime(b, s.Timestamp)
	b = appendInt8(b, s.Process)
	b = appendInt4(b, s.Machine)
	b = appendBool(b, s.InFull)
	b = appendInt4(b, HourOf(s.Timestamp))
	b = appendInt4(b, s.Weight.MS)
	b = appendNullInt8(b, s.Weight.MemoryMean)
	b = appendNullInt8(b, (*int64)(v.CPUTime))
	b = appendNullInt8(b, v.MemoryUsage)
	b = appendNullInt4(b, v.Threads)
	b = appendNullInt4(b, v.OpenFiles)
	b = appendNullInt8(b, v.ReadBytes)
	b = appendNullInt8(b, v.WriteBytes)
	if v.State == "" {
		return appendNull(b)
	}
	return appendText(b, v.State)
}

// ValuesDest returns the scan destinations of ValueColumns.
func ValuesDest(v *snapshot.Values) []any {
	return []any{
		&v.CPUTime, &v.MemoryUsage, &v.Threads, &v.OpenFiles, &v.ReadBytes, &v.WriteBytes, (*optionalText)(&v.State),
	}
}

// Gauges is the part of a sample that is still valid after its interval: the values that are carried
// forward, and which of the others were reported. It keeps no pointer into the batch.
type Gauges struct {
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

// GaugesOf returns the gauges of a sample.
func GaugesOf(v *snapshot.Values) Gauges {
	var g Gauges
	if v.State != "" {
		g.state = v.State[0]
	}
	if v.CPUTime != nil {
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

// Memory returns the memory, and whether it is known.
func (g *Gauges) Memory() (bytes int64, known bool) { return g.memory, g.reported&reportedMemory != 0 }

// The deltas of a process that used nothing.
var (
	zero        int64
	zeroCPUTime snapshot.CPUTime
)

// Values returns the sample of a process that used nothing and whose gauges are unchanged. Its
// pointers point into g.
func (g *Gauges) Values() snapshot.Values {
	var v snapshot.Values
	if g.state != 0 {
		v.State = string(g.state)
	}
	if g.reported&reportedCPU != 0 {
		v.CPUTime = &zeroCPUTime
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

// optionalText scans NULL as "".
type optionalText string

// ScanText implements pgtype.TextScanner.
func (t *optionalText) ScanText(v pgtype.Text) error {
	*t = optionalText(v.String)
	return nil
}

// optionalBool scans NULL as false.
type optionalBool bool

// ScanBool implements pgtype.BoolScanner.
func (b *optionalBool) ScanBool(v pgtype.Bool) error {
	*b = optionalBool(v.Bool)
	return nil
}

// IdentityColumns lists the columns of processes that IdentityDest scans, except for its key.
const IdentityColumns = "ppid, name, command_line, user_name, cgroup"

// IdentityDest returns the scan destinations of IdentityColumns.
func IdentityDest(id *snapshot.Identity) []any {
	return []any{&id.PPID, &id.Name, &id.CommandLine, &id.User, &id.Cgroup}
}
