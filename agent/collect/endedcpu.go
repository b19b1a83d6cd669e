package collect

import (
	"time"

	"github.com/snapwatch/snapwatch/agent/exits"
	"github.com/snapwatch/snapwatch/agent/procfs"
	"github.com/snapwatch/snapwatch/snapshot"
)

// endedProcess is a process that has ended since the previous sample.
type endedProcess struct {
	*exits.Process
	key    snapshot.ProcessKey
	before *totals // at the previous sample; nil if the process was in none
	// cpu is the best estimate of its CPU time since the previous sample, which is between low and high. isKnown is
	// false if threads are missing from it.
	cpu, low, high time.Duration
	limit          time.Duration // what it can use in the interval
	isKnown        bool
	cpuTime        snapshot.CPUTime // cpu, rounded so that no time of a group is lost
}

// newEnded returns a process that has ended.
func (s *Sampler) newEnded(
	p *exits.Process, key snapshot.ProcessKey, before *totals, interval time.Duration,
) endedProcess {
	e := endedProcess{Process: p, key: key, before: before}
	reported, oneThread := time.Duration(0), false
	if before != nil {
		reported, oneThread = before.cpu, before.oneThread
	}
	e.limit = s.cpuLimit(oneThread, interval)
	since := func(total time.Duration) time.Duration { return min(max(total-reported, 0), e.limit) }
	e.cpu, e.low, e.high = since(p.CPU), since(p.CPUMin), since(p.CPUMax)
	e.isKnown = p.Complete || oneThread && !p.LastKnown
	if !e.isKnown {
		e.high = e.limit
	}
	return e
}

// assignChildCPU corrects the CPU times of processes that have ended by what their ancestors have gained: the kernel
// adds the exact time of a process to that of its parent when the parent waits for it.
func (s *Sampler) assignChildCPU(ended []endedProcess, listed map[int32][]*totals) {
	byPID := make(map[int32]*endedProcess, len(ended))
	for i := range ended {
		byPID[ended[i].PID] = &ended[i]
	}
	groups := make(map[*totals][]*endedProcess)
	for i := range ended {
		ancestor := s.ancestor(&ended[i], byPID, listed)
		groups[ancestor] = append(groups[ancestor], &ended[i])
	}
	for ancestor, group := range groups {
		if ancestor != nil {
			ancestor.childCPU.assign(group)
		}
		rest := time.Duration(0) // so that the sum is right
		for _, e := range group {
			exact := e.cpu + rest
			e.cpuTime = max(snapshot.CPUTimeOf(min(exact.Round(time.Microsecond), e.limit)), 0)
			rest = exact - e.cpuTime.Duration()
		}
	}
}

// maxGenerations bounds how many parents that ended too are followed.
const maxGenerations = 100

// ancestor returns the nearest ancestor of a process that is in the process list, or nil.
func (s *Sampler) ancestor(
	e *endedProcess, ended map[int32]*endedProcess, listed map[int32][]*totals,
) *totals {
	for range maxGenerations {
		parent := e.Identity.PPID
		for _, t := range listed[parent] {
			if t.round == s.round && !t.started.earliest.After(e.Began.Add(startTolerance)) {
				return t
			}
		}
		if e = ended[parent]; e == nil {
			return nil
		}
	}
	return nil
}

// assign distributes the gained time among the processes that have ended. Both the time and the sum of the estimates
// have errors, so the result is their mean, weighted by the inverse of their variances. But it is never further from
// the gained time than ticks explain, unless the processes cannot have used that.
func (c *childCPU) assign(ended []*endedProcess) {
	var sum, low, high time.Duration
	gained := c.unassigned
	for _, e := range ended {
		if e.before != nil { // it gained the whole life
			gained -= e.before.cpu + e.before.childCPU.total
		}
		sum, low, high = sum+e.cpu, low+e.low, high+e.high
	}
	if c.exact {
		c.assignExact(ended, gained, sum, low, high)
		return
	}
	if gained < low-procfs.TickError {
		c.unassigned, c.late = 0, gained-sum
		return
	}
	// The estimates err in the same direction, for example if the kernel needs longer to remove processes.
	variance := square(float64(high-low) / 4)
	// The errors of the two values in ticks are distributed evenly.
	ticksVariance := 2 * square(float64(procfs.TickError)/2) / 12
	result := sum + time.Duration(float64(gained-sum)*variance/(variance+ticksVariance))
	result = max(result, gained-procfs.TickError)
	result = min(max(result, low), high)
	c.unassigned = max(gained-result, -procfs.TickError)
	c.late = gained - result - c.unassigned
	distribute(ended, result, sum, low, high)
}

const (
	// exactError and exactErrorEach are how much an exact gain differs from the times of children, and of each of them:
	// a child runs for some microseconds after its parent has waited for it.
	exactError     = 50 * time.Microsecond
	exactErrorEach = 10 * time.Microsecond
)

// assignExact is assign for an exact gain. A parent is not read at the very time at which the last ended process is
// known. If the gain lacks a process for that reason, or has one more, the estimates stay, and the next gain has the
// difference. If there were estimates, the difference is not exact, and those of the next sample stay too.
func (c *childCPU) assignExact(ended []*endedProcess, gained, sum, low, high time.Duration) {
	tolerance := exactError + time.Duration(len(ended))*exactErrorEach
	c.unassigned = 0
	if c.inexact {
		c.inexact, c.carried = false, false
		return
	}
	if gained >= low-tolerance && gained <= high+tolerance {
		c.carried = false
		distribute(ended, min(max(gained, low), high), sum, low, high)
		return
	}
	if c.carried = !c.carried; c.carried {
		c.unassigned, c.late = max(gained-sum, 0), min(gained-sum, 0)
		c.inexact = high > low
	}
}

// distribute changes the estimates of processes whose sum is between low and high, so that the sum is result.
func distribute(ended []*endedProcess, result, sum, low, high time.Duration) {
	for _, e := range ended {
		e.isKnown = true
		switch {
		case result > sum:
			e.cpu += time.Duration(float64(result-sum) * float64(e.high-e.cpu) / float64(high-sum))
		case result < sum:
			e.cpu -= time.Duration(float64(sum-result) * float64(e.cpu-e.low) / float64(sum-low))
		}
	}
}

func square(x float64) float64 { return x * x }
