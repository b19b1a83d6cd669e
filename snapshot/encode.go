package snapshot

import (
	"cmp"
	"slices"
)

// Sample returns p as a wire entry, with its identity if withIdentity.
func (p *Process) Sample(withIdentity bool) ProcessSample {
	sample := ProcessSample{PID: p.PID, StartedAt: p.StartedAt, State: p.State, CPUMS: p.CPUMS,
		MemoryUsage: p.MemoryUsage, Threads: p.Threads, OpenFiles: p.OpenFiles, ReadBytes: p.ReadBytes, WriteBytes: p.WriteBytes}
	if withIdentity {
		ppid := p.PPID
		sample.PPID, sample.Name, sample.CommandLine, sample.User = &ppid, p.Name, p.CommandLine, p.User
		sample.Cgroup = p.Cgroup
	}
	return sample
}

// Encoder turns the full process lists of consecutive instants into full and
// changes snapshots: an entry is left out exactly when replaying without it
// gives the same process. The zero Encoder is ready; its first must be a full one.
type Encoder struct {
	last map[ProcessKey]Process
}

// Full returns an entry for each process, and remembers them; and one for each that has
// ended since the list before, with StateEnded.
func (e *Encoder) Full(processes []Process, ended ...Process) []ProcessSample {
	e.last = byKey(processes)
	samples := make([]ProcessSample, 0, len(processes)+len(ended))
	for i := range processes {
		samples = append(samples, processes[i].Sample(true))
	}
	for i := range ended {
		samples = append(samples, ended[i].Sample(true))
	}
	return samples
}

// Changes returns the entries that differ from the list before and those that have ended,
// as Full does, and the other processes that are gone; and remembers the new list.
func (e *Encoder) Changes(processes []Process, ended ...Process) (samples []ProcessSample, exited []ProcessKey) {
	now := byKey(processes)
	for i := range processes {
		process := &processes[i]
		before, known := e.last[process.ProcessKey]
		renamed := !known || before.Identity != process.Identity
		if renamed || !before.Values.CarryForward().Equal(process.Values) {
			samples = append(samples, process.Sample(renamed))
		}
	}
	for i := range ended {
		_, known := e.last[ended[i].ProcessKey]
		samples = append(samples, ended[i].Sample(!known))
		delete(e.last, ended[i].ProcessKey)
	}
	for key := range e.last {
		if _, alive := now[key]; !alive {
			exited = append(exited, key)
		}
	}
	slices.SortFunc(exited, func(a, b ProcessKey) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
	})
	e.last = now
	return samples, exited
}

func byKey(processes []Process) map[ProcessKey]Process {
	m := make(map[ProcessKey]Process, len(processes))
	for i := range processes {
		m[processes[i].ProcessKey] = processes[i]
	}
	return m
}
