package snapshot

import "math"

// Process is one process at one instant, complete: its identity and its values.
// A nil value is "not known".
type Process struct {
	ProcessKey
	Identity
	Values
	// CPUUsage is derived from CPUMS by State.DeriveCPUUsage.
	CPUUsage *float64 `json:"cpu_usage" doc:"Percent of one core over the snapshot's interval"`
}

// Values is what a process does. The levels (State, MemoryUsage, Threads, OpenFiles) hold
// until the next sample; the amounts (CPUMS, ReadBytes, WriteBytes) were spent
// in the snapshot's interval.
type Values struct {
	State       string `json:"state,omitempty" doc:"One letter as in ps"`
	CPUMS       *int64 `json:"cpu_ms" doc:"CPU time spent in the snapshot's interval, milliseconds"`
	MemoryUsage *int64 `json:"memory_usage" doc:"Resident set size, bytes"`
	Threads     *int32 `json:"threads"`
	OpenFiles   *int32 `json:"open_files,omitempty" doc:"Open file descriptors"`
	ReadBytes   *int64 `json:"read_bytes" doc:"Bytes read in the snapshot's interval"`
	WriteBytes  *int64 `json:"write_bytes" doc:"Bytes written in the snapshot's interval"`
}

// CarryForward returns the values of a process that a changes snapshot does not
// mention: the levels hold, and nothing was spent. An amount that was never
// known stays unknown.
func (v Values) CarryForward() Values {
	v.CPUMS = zeroed(v.CPUMS)
	v.ReadBytes = zeroed(v.ReadBytes)
	v.WriteBytes = zeroed(v.WriteBytes)
	return v
}

// Equal compares the values, not the pointers.
func (v Values) Equal(o Values) bool {
	return v.State == o.State && same(v.CPUMS, o.CPUMS) && same(v.MemoryUsage, o.MemoryUsage) &&
		same(
			v.Threads, o.Threads,
		) && same(v.OpenFiles, o.OpenFiles) && same(v.ReadBytes, o.ReadBytes) && same(v.WriteBytes, o.WriteBytes)
}

// Values returns the values of a sample; cpu_ms is derived from cpu_usage over
// intervalMS where only the latter is given.
func (p *ProcessSample) Values(intervalMS int64) Values {
	v := Values{State: p.State, CPUMS: p.CPUMS, MemoryUsage: p.MemoryUsage, Threads: p.Threads, OpenFiles: p.OpenFiles,
		ReadBytes: p.ReadBytes, WriteBytes: p.WriteBytes}
	if v.CPUMS == nil && p.CPUUsage != nil && intervalMS > 0 {
		ms := int64(math.Round(*p.CPUUsage * float64(intervalMS) / 100))
		v.CPUMS = &ms
	}
	return v
}

// CPUUsage returns percent of one core: 100 × CPU time ÷ elapsed time, to two
// decimals, or nil where either is not known.
func CPUUsage(cpuMS *int64, intervalMS int64) *float64 {
	if cpuMS == nil || intervalMS <= 0 {
		return nil
	}
	usage := math.Round(float64(*cpuMS)*10000/float64(intervalMS)) / 100
	return &usage
}

// State is one machine at one instant with its full process list, as it is read
// back from the store: what the agent sent, replayed.
type State struct {
	MachineID  string
	Timestamp  Time
	Kind       Kind
	IntervalMS int64
	Machine    MachineSnapshot
	// Processes is ordered by pid, then start time; nil if not asked for.
	Processes []Process
}

// DeriveCPUUsage fills in the CPU usage of every process from its CPU time.
func (s *State) DeriveCPUUsage() {
	for i := range s.Processes {
		s.Processes[i].CPUUsage = CPUUsage(s.Processes[i].CPUMS, s.IntervalMS)
	}
}

var zero int64

// zeroed returns a pointer to 0 for a known amount, and nil for an unknown one.
func zeroed(p *int64) *int64 {
	if p == nil {
		return nil
	}
	return &zero
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
