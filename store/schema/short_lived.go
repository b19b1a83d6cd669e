package schema

import (
	"encoding/binary"

	"github.com/snapwatch/snapwatch/snapshot"
)

// ShortLived is a process that started and ended between two snapshots. A nil value is unknown.
type ShortLived struct {
	Command   int64 // commands.id
	Owner     int32 // owners.id
	PID, PPID int32
	// AgeMS is the time from the start of the process to the snapshot with which it was reported.
	AgeMS                                  int32
	CPUTime, Memory, ReadBytes, WriteBytes *int64 // microseconds, and bytes
	Exit                                   snapshot.ExitStatus
	// Vars are the parts of the command line that vary, separated by spaces.
	Vars string
}

// ShortLivedBatch holds the short-lived processes of a snapshot.
type ShortLivedBatch struct {
	Machine   int32
	Timestamp snapshot.Time
	Processes []ShortLived
}

// ShortLivedTotals are the columns of snapshots about the short-lived processes of a snapshot.
type ShortLivedTotals struct {
	processes, unknownCPU int32
	cpu                   *int64 // microseconds
}

// Add adds a process. Its CPU time is nil if it is unknown.
func (t *ShortLivedTotals) Add(cpu *snapshot.CPUTime) {
	t.processes++
	if cpu == nil {
		t.unknownCPU++
	}
	snapshot.AddAmount(&t.cpu, (*int64)(cpu))
}

// counts returns the number of processes and of those with an unknown CPU time, nil if there are no processes.
func (t *ShortLivedTotals) counts() (processes, unknownCPU *int32) {
	if t.processes == 0 {
		return nil, nil
	}
	return &t.processes, &t.unknownCPU
}

// ShortLivedTable is a table of short-lived processes. The profiles store them differently, and the view short_lived
// is the same in both.
type ShortLivedTable struct {
	Name, Columns string
	appendCopy    func(b []byte, batch *ShortLivedBatch) []byte
}

// AppendCopy appends the rows of a batch in the binary format of COPY.
func (t *ShortLivedTable) AppendCopy(b []byte, batch *ShortLivedBatch) []byte {
	return t.appendCopy(b, batch)
}

// ShortLivedRows is the table with a row for each process.
var ShortLivedRows = &ShortLivedTable{
	Name: "short_lived_rows",
	Columns: "ts, machine, command, owner, pid, parent_gap, ppid, age_ms, cpu_us, memory_pages, memory_rest, " +
		"read_bytes, write_bytes, exit, vars",
	appendCopy: appendShortLivedRows,
}

// ShortLivedBatches is the table with a row for each snapshot, and arrays of the values of its processes.
var ShortLivedBatches = &ShortLivedTable{
	Name: "short_lived_batches",
	Columns: "ts, first_ts, machine, processes, cpu_us_max, memory_max, command, owner, pid, ppid, age_ms, cpu_us, " +
		"memory, read_bytes, write_bytes, exit, vars",
	appendCopy: appendShortLivedBatch,
}

// ShortLivedMinutes is the table of the sums of short-lived processes by minute.
const ShortLivedMinutes = "short_lived_minutes"

const (
	shortLivedRowColumns   = 15
	shortLivedBatchColumns = 17

	pageSize = 4096
	// maxParentGap is the largest difference between the pids of a process and its parent that is stored instead of
	// the parent's. Few differences are so small, and they take less space.
	maxParentGap = 100
)

func appendShortLivedRows(b []byte, batch *ShortLivedBatch) []byte {
	for i := range batch.Processes {
		p := &batch.Processes[i]
		b = appendRowHeader(b, shortLivedRowColumns)
		b = appendTime(b, batch.Timestamp)
		b = appendInt4(b, batch.Machine)
		b = appendInt8(b, p.Command)
		b = appendInt4(b, p.Owner)
		b = appendInt4(b, p.PID)
		if gap := int64(p.PID) - int64(p.PPID); gap >= 1 && gap <= maxParentGap {
			b = appendNull(appendInt2(b, int16(gap)))
		} else {
			b = appendInt4(appendNull(b), p.PPID)
		}
		b = appendInt4(b, p.AgeMS)
		b = appendNullInt8(b, p.CPUTime)
		b = appendPages(b, p.Memory)
		b = appendNullInt8(b, p.ReadBytes)
		b = appendNullInt8(b, p.WriteBytes)
		if exit, known := exitOf(p); known {
			b = appendInt2(b, exit)
		} else {
			b = appendNull(b)
		}
		if p.Vars == "" {
			b = appendNull(b)
		} else {
			b = appendText(b, p.Vars)
		}
	}
	return b
}

// appendPages appends a size in pages, and the rest in bytes, null for 0.
func appendPages(b []byte, bytes *int64) []byte {
	if bytes == nil {
		return appendNull(appendNull(b))
	}
	b = appendInt8(b, *bytes/pageSize)
	if rest := *bytes % pageSize; rest != 0 {
		return appendInt2(b, int16(rest))
	}
	return appendNull(b)
}

// exitOf returns the exit code or the negative number of the signal, and whether one of them is known.
func exitOf(p *ShortLived) (exit int16, known bool) {
	switch {
	case p.Exit.ExitCode != nil:
		return *p.Exit.ExitCode, true
	case p.Exit.ExitSignal != nil:
		return -*p.Exit.ExitSignal, true
	}
	return 0, false
}

func appendShortLivedBatch(b []byte, batch *ShortLivedBatch) []byte {
	list := batch.Processes
	cpu := func(p *ShortLived) *int64 { return p.CPUTime }
	memory := func(p *ShortLived) *int64 { return p.Memory }
	b = appendRowHeader(b, shortLivedBatchColumns)
	b = appendTime(b, batch.Timestamp)
	b = appendTime(b, batch.Timestamp)
	b = appendInt4(b, batch.Machine)
	b = appendInt4(b, int32(len(list)))
	b = appendNullInt8(b, largest(list, cpu))
	b = appendNullInt8(b, largest(list, memory))
	b = appendArray(b, oidInt8, list, func(b []byte, p *ShortLived) []byte { return appendInt8(b, p.Command) })
	b = appendArray(b, oidInt4, list, func(b []byte, p *ShortLived) []byte { return appendInt4(b, p.Owner) })
	b = appendArray(b, oidInt4, list, func(b []byte, p *ShortLived) []byte { return appendInt4(b, p.PID) })
	b = appendArray(b, oidInt4, list, func(b []byte, p *ShortLived) []byte { return appendInt4(b, p.PPID) })
	b = appendArray(b, oidInt4, list, func(b []byte, p *ShortLived) []byte { return appendInt4(b, p.AgeMS) })
	for _, value := range []func(*ShortLived) *int64{
		cpu, memory,
		func(p *ShortLived) *int64 { return p.ReadBytes },
		func(p *ShortLived) *int64 { return p.WriteBytes },
	} {
		b = appendArray(b, oidInt8, list, func(b []byte, p *ShortLived) []byte { return appendNullInt8(b, value(p)) })
	}
	b = appendArray(b, oidInt2, list, func(b []byte, p *ShortLived) []byte {
		if exit, known := exitOf(p); known {
			return appendInt2(b, exit)
		}
		return appendNull(b)
	})
	return appendArray(b, oidText, list, func(b []byte, p *ShortLived) []byte {
		if p.Vars == "" {
			return appendNull(b)
		}
		return appendText(b, p.Vars)
	})
}

// largest returns the largest known value, nil if there is none.
func largest(list []ShortLived, value func(*ShortLived) *int64) *int64 {
	var found *int64
	for i := range list {
		if v := value(&list[i]); v != nil && (found == nil || *v > *found) {
			found = v
		}
	}
	return found
}

// The OIDs of element types, which are the same in every database.
const (
	oidInt8 = 20
	oidInt2 = 21
	oidInt4 = 23
	oidText = 25
)

// appendArray appends an array with an element for each process. It is null if all its elements are.
func appendArray(
	b []byte, elementType uint32, list []ShortLived, element func(b []byte, p *ShortLived) []byte,
) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0) // the length in bytes, set below
	for _, field := range []uint32{
		1, // dimension
		0, // whether elements are null, set below
		elementType, uint32(len(list)), 1,
	} {
		b = binary.BigEndian.AppendUint32(b, field)
	}
	nulls := 0
	for i := range list {
		at := len(b)
		if b = element(b, &list[i]); b[at] == 0xff { // a length of -1
			nulls++
		}
	}
	if nulls == len(list) {
		return appendNull(b[:start])
	}
	if nulls > 0 {
		b[start+11] = 1
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}
