package snapshot

import (
	"cmp"
	"slices"
)

// Encoder encodes the full process lists of consecutive instants as full and changes snapshots. A changes
// snapshot omits exactly the processes for which replay gives the same result without an entry. The zero
// Encoder is ready for use. Its first call must be Full.
type Encoder struct {
	previous map[ProcessKey]Process
}

// Full encodes every process. The processes in ended, which ended since the previous list, get an entry with
// the state StateEnded.
func (e *Encoder) Full(processes []Process, ended ...Process) []ProcessSample {
	e.previous = byKey(processes)
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
	current := byKey(processes)
	for i := range processes {
		process := &processes[i]
		before, known := e.previous[process.ProcessKey]
		newIdentity := !known || before.Identity != process.Identity
		if newIdentity || !before.Values.CarryForward().Equal(process.Values) {
			samples = append(samples, process.Sample(newIdentity))
		}
	}
	for i := range ended {
		_, known := e.previous[ended[i].ProcessKey]
		samples = append(samples, ended[i].Sample(!known))
		delete(e.previous, ended[i].ProcessKey)
	}
	for key := range e.previous {
		if _, alive := current[key]; !alive {
			exited = append(exited, key)
		}
	}
	slices.SortFunc(exited, func(a, b ProcessKey) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
	})
	e.previous = current
	return samples, exited
}

func byKey(processes []Process) map[ProcessKey]Process {
	m := make(map[ProcessKey]Process, len(processes))
	for i := range processes {
		m[processes[i].ProcessKey] = processes[i]
	}
	return m
}
