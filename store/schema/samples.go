package schema

import (
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/snapwatch/snapwatch/snapshot"
)

// StateExited is the state of the last row of a process that exited and used nothing since the row
// before. A process that used something has snapshot.StateEnded instead.
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
	Values snapshot.Values
}

// The columns of process_samples, in the order of AppendCopy. ValueColumns are those that ValuesDest
// scans.
const (
	SampleColumns = "ts, process, machine, in_full, hour, " + ValueColumns
	ValueColumns  = "cpu_ms, memory_usage, threads, open_files, read_bytes, write_bytes, state"
	sampleColumns = 12
)

// AppendCopy appends the row in the binary format of COPY.
func (s *Sample) AppendCopy(b []byte) []byte {
	v := &s.Values
	b = appendRowHeader(b, sampleColumns)
	b = appendTime(b, s.Timestamp)
	b = appendInt8(b, s.Process)
	b = appendInt4(b, s.Machine)
	b = appendBool(b, s.InFull)
	b = appendInt4(b, HourOf(s.Timestamp))
	b = appendNullInt8(b, v.CPUMS)
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
		&v.CPUMS, &v.MemoryUsage, &v.Threads, &v.OpenFiles, &v.ReadBytes, &v.WriteBytes, (*optionalText)(&v.State),
	}
}

// optionalText scans NULL as "".
type optionalText string

// ScanText implements pgtype.TextScanner.
func (t *optionalText) ScanText(v pgtype.Text) error {
	*t = optionalText(v.String)
	return nil
}

// IdentityColumns lists the columns of processes that IdentityDest scans, except for its key.
const IdentityColumns = "ppid, name, command_line, user_name, cgroup"

// IdentityDest returns the scan destinations of IdentityColumns.
func IdentityDest(id *snapshot.Identity) []any {
	return []any{&id.PPID, &id.Name, &id.CommandLine, &id.User, &id.Cgroup}
}
