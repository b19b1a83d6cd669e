package snapshot

import (
	"cmp"
	"slices"
)

// Encoder encodes the full process lists of consecutive instants as full and changes snapshots. A changes
// snapshot omits exactly the processes for which replay gives the same result without an entry. The zero
// Encoder is ready for use. Its first call must be Full.
type Encoder struct {
	// spare is the list before the previous one. Its memory is used again.
	previous, spare processList
}

// processList is a list of processes, and where each of them is in it.
type processList struct {
	processes []Process
	index     map[ProcessKey]int32
}

// set makes l a copy of a list.
func (l *processList) set(processes []Process) {
	if l.index == nil {
		l.index = make(map[ProcessKey]int32, len(processes))
	}
	clear(l.index)
	clear(l.processes) // so that what is not used any more can be freed
	l.processes = append(l.processes[:0], processes...)
	for i := range processes {
		l.index[processes[i].ProcessKey] = int32(i)
	}
}

// Full encodes every process. The processes in ended, which ended since the previous list, get an entry with
// the state StateEnded.
func (e *Encoder) Full(processes []Process, ended ...Process) []ProcessSample {
	e.previous.set(processes)
	samples := make([]ProcessSample, 0, len(processes)+len(ended))
	for i := range processes {
		samples = append(samples, processes[i].Sample(true))
	}
	for i := range ended {
		samples = append(samples, ended[i].Sample(true))
	}
	return samples
}

// Changes encodes the differences from the previous list. It returns entries of new and changed processes, and of the
// processes in ended as Full does. exited has the keys of the other processes that are gone.
func (e *Encoder) Changes(processes []Process, ended ...Process) (samples []ProcessSample, exited []ProcessKey) {
	e.previous, e.spare = e.spare, e.previous
	current, previous := &e.previous, &e.spare
	current.set(processes)
	for i := range processes {
		process := &processes[i]
		var before *Process
		k, known := previous.index[process.ProcessKey]
		if known {
			before = &previous.processes[k]
		}
		newIdentity := !known || before.Identity != process.Identity
		if newIdentity || !before.Values.CarryForward().Equal(process.Values) {
			samples = append(samples, process.Sample(newIdentity))
		}
	}
	for i := range ended {
		_, known := previous.index[ended[i].ProcessKey]
		samples = append(samples, ended[i].Sample(!known))
		delete(previous.index, ended[i].ProcessKey)
	}
	for key := range previous.index {
		if _, alive := current.index[key]; !alive {
			exited = append(exited, key)
		}
	}
	slices.SortFunc(exited, func(a, b ProcessKey) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
	})
	return samples, exited
}
