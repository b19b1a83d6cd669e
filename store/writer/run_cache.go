package writer

import (
	"container/list"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/snapwatch/snapwatch/snapshot"
)

// run is what a machine ran at a snapshot, as far as the writer needs it: a
// changes snapshot may only extend it. What is stored up to a snapshot never
// changes while that is there, since nothing may be put inside a run of changes; so
// a run holds for as long. The writer changes a run in place; a run whose
// change is not committed is thrown away.
type run struct {
	ts, fullTS snapshot.Time
	processes  map[snapshot.ProcessKey]runningProcess
}

// runningProcess is a process of a run: which row of processes it is, and the gauges
// that hold until its next sample.
type runningProcess struct {
	ref    *processRef
	gauges gauges
}

// processRef is a row of processes: id is 0 until it is inserted.
type processRef struct {
	id       int64
	identity int64
	day      int32 // last_day, in days since 1970
}

// identityHash is what tells one identity of a process from the next. The
// strings hold no NUL, so the separator keeps them apart. The buffer is used
// again and returned. A control group counts only where there is one: identities that
// were stored before agents told it keep their hashes.
func identityHash(buffer []byte, id snapshot.Identity) (int64, []byte) {
	buffer = append(buffer[:0], byte(id.PPID), byte(id.PPID>>8), byte(id.PPID>>16), byte(id.PPID>>24))
	buffer = append(append(buffer, id.Name...), 0)
	buffer = append(append(buffer, id.CommandLine...), 0)
	buffer = append(append(buffer, id.User...), 0)
	if id.Cgroup != "" {
		buffer = append(append(buffer, id.Cgroup...), 0)
	}
	return int64(xxhash.Sum64(buffer)), buffer
}

// runsPerMachine is how many runs are kept of a machine: the live one, and one
// that an agent extends with what it kept while it was away.
const runsPerMachine = 2

// runCache keeps the runs written last, bounded by the number of processes in
// them. It is safe for concurrent use.
type runCache struct {
	mu          sync.Mutex
	limit, held int
	order       *list.List                // of *cachedRun, the newest put first
	byMachine   map[int32][]*list.Element // the newest put last
}

type cachedRun struct {
	machine int32
	run     *run
}

func newRunCache(limit int) *runCache {
	return &runCache{limit: limit, order: list.New(), byMachine: make(map[int32][]*list.Element)}
}

// take removes and returns a machine's run that ends at ts, a snapshot that the
// database says the next one follows: another server may have written since. Until
// it is put back no one else has it.
func (c *runCache) take(machine int32, ts snapshot.Time) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, element := range c.byMachine[machine] {
		if run := element.Value.(*cachedRun).run; run.ts == ts {
			c.drop(element)
			return run
		}
	}
	return nil
}

// put keeps a machine's run and forgets those written longest ago.
func (c *runCache) put(machine int32, run *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there := c.byMachine[machine]; len(there) == runsPerMachine {
		c.drop(there[0])
	}
	c.byMachine[machine] = append(c.byMachine[machine], c.order.PushFront(&cachedRun{machine, run}))
	c.held += weight(run)
	for c.held > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
}

// dropBefore forgets the runs that end before ts.
func (c *runCache) dropBefore(ts snapshot.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for element := c.order.Front(); element != nil; {
		next := element.Next()
		if element.Value.(*cachedRun).run.ts < ts {
			c.drop(element)
		}
		element = next
	}
}

func (c *runCache) drop(element *list.Element) {
	one := element.Value.(*cachedRun)
	c.held -= weight(one.run)
	c.order.Remove(element)
	rest := slices.DeleteFunc(c.byMachine[one.machine], func(e *list.Element) bool { return e == element })
	if c.byMachine[one.machine] = rest; len(rest) == 0 {
		delete(c.byMachine, one.machine)
	}
}

// weight counts an empty run too, so that machines without processes are bounded.
func weight(run *run) int { return len(run.processes) + 1 }
