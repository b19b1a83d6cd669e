package snapshot

import "math"

// Process is one process at one instant, with its identity and its values. A nil value is unknown.
type Process struct {
	ProcessKey
	Identity
	Values
	// CPUUsage is computed from CPUTime by State.DeriveCPUUsage.
	CPUUsage *float64 `json:"cpu_usage" doc:"Percent of one core over the snapshot's interval"`
	// Exit is only set in the last sample of a process, which is in no process list.
	Exit ExitStatus `json:"-"`
}

// Values holds a process's measured values. State, MemoryUsage, Threads and OpenFiles are gauges: they stay
// valid until the next sample. CPUTime, ReadBytes and WriteBytes are deltas over the snapshot's interval.
type Values struct {
	State       string   `json:"state,omitempty" doc:"One letter, as in ps"`
	CPUTime     *CPUTime `json:"cpu_ms" doc:"CPU time used in the snapshot's interval: milliseconds, to the microsecond"`
	MemoryUsage *int64   `json:"memory_usage" doc:"Resident set size, bytes"`
	Threads     *int32   `json:"threads"`
	OpenFiles   *int32   `json:"open_files,omitempty" doc:"Open file descriptors"`
	ReadBytes   *int64   `json:"read_bytes" doc:"Bytes read in the snapshot's interval"`
	WriteBytes  *int64   `json:"write_bytes" doc:"Bytes written in the snapshot's interval"`
}

// CarryForward returns the values of a process that the next changes snapshot does not list: gauges keep
// their values and deltas become 0. Unknown deltas stay unknown.
func (v Values) CarryForward() Values {
	v.CPUTime = zeroed(v.CPUTime, &zeroCPUTime)
	v.ReadBytes = zeroed(v.ReadBytes, &zero)
	v.WriteBytes = zeroed(v.WriteBytes, &zero)
	return v
}

// Equal reports whether all values are the same.
func (v Values) Equal(o Values) bool {
	return v.State == o.State && same(v.CPUTime, o.CPUTime) && same(v.MemoryUsage, o.MemoryUsage) &&
		same(v.Threads, o.Threads) && same(v.OpenFiles, o.OpenFiles) &&
		same(v.ReadBytes, o.ReadBytes) && same(v.WriteBytes, o.WriteBytes)
}

// Values returns the values of a sample. If the sample has CPUUsage and no CPUTime, CPUTime is computed from it
// and intervalMS.
func (p *ProcessSample) Values(intervalMS int64) Values {
	v := Values{
		State: p.State, CPUTime: p.CPUTime, MemoryUsage: p.MemoryUsage, Threads: p.Threads, OpenFiles: p.OpenFiles,
		ReadBytes: p.ReadBytes, WriteBytes: p.WriteBytes,
	}
	if v.CPUTime == nil && p.CPUUsage != nil && intervalMS > 0 {
		v.CPUTime = new(CPUTime(math.Round(*p.CPUUsage * float64(intervalMS) * 10)))
	}
	return v
}

// Sample returns the process as an entry of a Snapshot. The entry has the identity only if withIdentity is
// true.
func (p *Process) Sample(withIdentity bool) ProcessSample {
	sample := ProcessSample{
		PID: p.PID, StartedAt: p.StartedAt, State: p.State, CPUTime: p.CPUTime, MemoryUsage: p.MemoryUsage,
		Threads: p.Threads, OpenFiles: p.OpenFiles, ReadBytes: p.ReadBytes, WriteBytes: p.WriteBytes,
		ExitStatus: p.Exit,
	}
	if withIdentity {
		ppid := p.PPID
		sample.PPID, sample.Name, sample.CommandLine, sample.User = &ppid, p.Name, p.CommandLine, p.User
		sample.Cgroup = p.Cgroup
	}
	return sample
}

// CPUUsage returns CPU usage in percent of one core, rounded to two decimals: 100 × CPU time ÷ interval. It
// returns nil if the CPU time or the interval is unknown.
func CPUUsage(used *CPUTime, intervalMS int64) *float64 {
	if used == nil || intervalMS <= 0 {
		return nil
	}
	usage := math.Round(float64(*used)*10/float64(intervalMS)) / 100
	return &usage
}

// State is one machine at one instant, with its full process list. The store reads it by replaying snapshots.
type State struct {
	MachineID  string
	Timestamp  Time
	Kind       Kind
	IntervalMS int64
	Machine    MachineSnapshot
	// Processes is ordered by pid and start time. It is nil if it was not requested.
	Processes []Process
	// Ended is about the processes that ended since the previous snapshot. It is nil if Processes is.
	Ended *EndedProcesses
}

// EndedProcesses is the sum of the processes that ended since the previous snapshot. They are not in the process list
// of the snapshot, but a part of its CPU usage is theirs. The zero value is that of no processes.
type EndedProcesses struct {
	Processes int64    `json:"processes" doc:"Number of processes that ended since the previous snapshot"`
	CPUTime   *CPUTime `json:"cpu_ms" doc:"CPU time that they used in the interval, in milliseconds, to the microsecond, without the unknown ones; null if all are unknown"`
	CPUUsage  *float64 `json:"cpu_usage" doc:"cpu_ms as percent of one core over the interval; null if that is unknown"`
	Unknown   int64    `json:"unknown,omitempty" doc:"Number of those whose CPU time is unknown"`
}

// Add adds processes that ended. The CPU time is that of their last samples, nil if it is unknown.
func (e *EndedProcesses) Add(processes int64, used *CPUTime) {
	e.Processes += processes
	if used == nil {
		e.Unknown += processes
	}
	AddAmount(&e.CPUTime, used)
}

// AddAmount adds an amount to a sum. Both are nil if they are unknown, and not negative otherwise. An unknown amount
// does not change the sum. The largest sum is math.MaxInt64.
func AddAmount[T ~int64](sum **T, amount *T) {
	switch {
	case amount == nil:
	case *sum == nil:
		*sum = new(*amount)
	case **sum > math.MaxInt64-*amount:
		**sum = math.MaxInt64
	default:
		**sum += *amount
	}
}

// DeriveCPUUsage computes the CPU usage of every process, and of the ended ones, from their CPU times.
func (s *State) DeriveCPUUsage() {
	if s.Ended != nil {
		if s.Ended.Processes == 0 {
			s.Ended.CPUTime = new(CPUTime)
		}
		s.Ended.CPUUsage = CPUUsage(s.Ended.CPUTime, s.IntervalMS)
	}
	for i := range s.Processes {
		s.Processes[i].CPUUsage = CPUUsage(s.Processes[i].CPUTime, s.IntervalMS)
	}
}

var (
	zero        int64
	zeroCPUTime CPUTime
)

// zeroed returns zero, or nil if p is nil.
func zeroed[T any](p, zero *T) *T {
	if p == nil {
		return nil
	}
	return zero
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
