package writer

import (
	"math"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// A sample accounts for the time since the sample of its process before it: the intervals of the snapshots that left
// the process out because nothing changed, and that of its own snapshot. That is its weight. So that no weight crosses
// the end of an hour or a gap, the last snapshot before them gets a sample of every process: it is closed.

// closing closes a stored snapshot. It holds the samples of the processes that the snapshot left out.
type closing struct {
	machine *machineRow
	ts      snapshot.Time
	samples []carriedSample
}

// carriedSample is the sample of a process whose values did not change.
type carriedSample struct {
	running runningProcess
	weight  schema.Weight
}

// close closes the last snapshot of a run.
func (p *planner) close(r *run) { p.addClosing(r.ts, r.close()...) }

// closeProcess closes the last snapshot of a run for one process.
func (p *planner) closeProcess(r *run, one runningProcess) {
	p.addClosing(r.ts, carriedSample{one, schema.Weight{MS: clampMS(r.elapsedMS - one.atMS)}})
}

// addClosing plans samples that close a snapshot, if retention still keeps it.
func (p *planner) addClosing(ts snapshot.Time, samples ...carriedSample) {
	if len(samples) == 0 || ts < p.w.writer.horizon() {
		return
	}
	if n := len(p.closings); n > 0 && p.closings[n-1].ts == ts {
		p.closings[n-1].samples = append(p.closings[n-1].samples, samples...)
		return
	}
	p.closings = append(p.closings, closing{p.machine, ts, samples})
}

// close returns the samples of the processes that the last snapshot left out.
func (r *run) close() []carriedSample {
	var samples []carriedSample
	for key, one := range r.processes {
		if held := r.elapsedMS - one.atMS; held > 0 {
			samples = append(samples, carriedSample{one, schema.Weight{MS: clampMS(held)}})
			one.atMS = r.elapsedMS
			r.processes[key] = one
		}
	}
	return samples
}

// holdsTime reports whether the last snapshot of the run is not closed.
func (r *run) holdsTime() bool {
	for _, one := range r.processes {
		if one.atMS < r.elapsedMS {
			return true
		}
	}
	return false
}

// skipHeld drops the time since the last samples of all processes, because other rows account for it.
func (r *run) skipHeld() {
	for key, one := range r.processes {
		one.atMS = r.elapsedMS
		r.processes[key] = one
	}
}

// weigh returns the weight of a sample with the given memory, whose process ran for intervalMS since the snapshot
// before. before is the run that the snapshot follows, and known is the process in it, if it is there.
func (p *planner) weigh(
	before *run, known runningProcess, ref *processRef, memory *int64, intervalMS int64,
) schema.Weight {
	held := int64(0)
	if known.ref != nil {
		held = before.elapsedMS - known.atMS
	}
	if held <= 0 {
		return schema.Weight{MS: clampMS(intervalMS)}
	}
	level, isKnown := known.gauges.Memory()
	if known.ref != ref || isKnown != (memory != nil) {
		p.closeProcess(before, known)
		return schema.Weight{MS: clampMS(intervalMS)}
	}
	weight := schema.Weight{MS: clampMS(held + intervalMS)}
	if isKnown && level != *memory {
		mean := int64(math.Round(
			(float64(level)*float64(held) + float64(*memory)*float64(intervalMS)) / float64(held+intervalMS)))
		weight.MemoryMean = &mean
	}
	return weight
}

// runTime returns the part of a snapshot's interval in which a process ran that the snapshot before does not have.
func runTime(startedAt, ts snapshot.Time, intervalMS int64) int64 {
	if age := int64(ts - startedAt); startedAt != 0 && age > 0 {
		return min(intervalMS, age)
	}
	return intervalMS
}

// weighExited returns the weight of the last row of a process that is gone.
func weighExited(before *run, known runningProcess) schema.Weight {
	held := before.elapsedMS - known.atMS
	if held <= 0 {
		return schema.Weight{}
	}
	weight := schema.Weight{MS: clampMS(held)}
	if level, isKnown := known.gauges.Memory(); isKnown {
		weight.MemoryMean = &level
	}
	return weight
}

func clampMS(ms int64) int32 { return int32(min(ms, math.MaxInt32)) }
