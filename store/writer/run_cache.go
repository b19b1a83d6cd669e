package writer

import (
	"container/list"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/snapwatch/snapwatch/internal/cachemetrics"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/schema"
)

// run is a run of changes: a full snapshot and the changes after it, up to the snapshot at ts. It holds
// the processes at that time, as far as the writer needs them. Nothing can be stored inside a run, so
// it is valid as long as the snapshot at ts exists. The writer updates a run in place, and discards it
// if the transaction fails.
type run struct {
	ts, fullTS snapshot.Time
	processes  map[snapshot.ProcessKey]runningProcess
	// elapsedMS is the sum of intervals up to ts. It has no meaning in itself, only its differences have.
	elapsedMS int64
	// spacings are the times between the last three snapshots up to ts in milliseconds, the latest first. They are 0 if
	// they are not loaded, or there are fewer snapshots.
	spacings [2]int64
	// lastUsage is the time of the last snapshot up to ts with usage: CPU times, byte counts or percentages. It is 0 if
	// there was none lately. It is valid if usageLoaded.
	lastUsage   snapshot.Time
	usageLoaded bool
}

// runningProcess is a process at the end of a run: its row of processes, the gauges of its last sample, and
// elapsedMS of the run at that sample.
type runningProcess struct {
	ref    *processRef
	gauges schema.Gauges
	atMS   int64
}

// processRef refers to a row of processes. Its id is 0 until the row is inserted.
type processRef struct {
	id       int64
	identity int64
	day      int32 // last_day in days since 1970
}

// identityHash returns a hash of an identity, and the buffer for reuse. The strings contain no NUL, so it separates
// them. The key is a secret of the database, as in hashCommand: otherwise a process could exec a program whose command
// line has the same hash, and this would not be stored.
func identityHash(buffer []byte, key string, id snapshot.Identity) (int64, []byte) {
	buffer = append(buffer[:0], key...)
	buffer = binary.LittleEndian.AppendUint32(buffer, uint32(id.PPID))
	buffer = append(append(buffer, id.Name...), 0)
	buffer = append(append(buffer, id.CommandLine...), 0)
	buffer = append(append(buffer, id.User...), 0)
	buffer = append(buffer, id.Cgroup...)
	return hashText(buffer), buffer
}

// runsPerMachine is the number of cached runs per machine: the live run, and one that an agent extends
// with snapshots from its spool.
const runsPerMachine = 2

// runCache caches the runs that were written last. Its size is bounded by the number of processes in the
// runs. It is safe for concurrent use.
type runCache struct {
	metrics     *cachemetrics.Metrics
	mu          sync.Mutex
	limit, held int
	order       *list.List                // of *cachedRun, the last one put is the first
	byMachine   map[int32][]*list.Element // the last one put is the last
}

type cachedRun struct {
	machine int32
	run     *run
}

func newRunCache(limit int) *runCache {
	return &runCache{limit: limit, order: list.New(), byMachine: make(map[int32][]*list.Element)}
}

// take removes and returns the machine's run that ends at ts, or nil. The caller reads ts from the
// database, because another server may have extended the run in the meantime.
func (c *runCache) take(machine int32, ts snapshot.Time) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, element := range c.byMachine[machine] {
		if run := element.Value.(*cachedRun).run; run.ts == ts {
			c.drop(element)
			c.metrics.Looked(true)
			return run
		}
	}
	c.metrics.Looked(false)
	return nil
}

// put adds a machine's run and evicts the runs that were put longest ago.
func (c *runCache) put(machine int32, run *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if runs := c.byMachine[machine]; len(runs) == runsPerMachine {
		c.drop(runs[0])
	}
	c.byMachine[machine] = append(c.byMachine[machine], c.order.PushFront(&cachedRun{machine, run}))
	c.held += weight(run)
	before := c.held
	for c.held > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
	c.metrics.Evicted(before - c.held)
}

// dropBefore evicts the runs that end before ts.
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
	evicted := element.Value.(*cachedRun)
	c.held -= weight(evicted.run)
	c.order.Remove(element)
	rest := slices.DeleteFunc(c.byMachine[evicted.machine], func(e *list.Element) bool { return e == element })
	if c.byMachine[evicted.machine] = rest; len(rest) == 0 {
		delete(c.byMachine, evicted.machine)
	}
}

// size returns the weight of all runs.
func (c *runCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// weight returns the size of a run. Empty runs count too, so that the number of machines is bounded.
func weight(run *run) int { return len(run.processes) + 1 }
