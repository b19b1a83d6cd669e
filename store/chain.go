package store

import (
	"container/list"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/snapwatch/snapwatch/snapshot"
)

// chain is what a machine ran at a snapshot, as far as the writer needs it: a
// changes snapshot may only extend it. What is stored up to a snapshot never
// changes while that is there, since nothing may be put inside a run of changes; so
// a chain holds for as long. The writer changes a chain in place; a chain whose
// change is not committed is thrown away.
type chain struct {
	ts, fullTS snapshot.Time
	processes  map[snapshot.ProcessKey]running
}

// running is a process of a chain: which row of processes it is, and the levels
// that hold until its next sample.
type running struct {
	ref    *processRef
	levels levels
}

// levels is what a sample says that outlasts its instant. It keeps no pointer
// into the batch it came from.
type levels struct {
	memory  int64
	threads int32
	files   int32
	state   byte // 0 if not known
	known   known
}

// known tells which of a sample's numbers were given.
type known uint8

const (
	knownCPU known = 1 << iota
	knownMemory
	knownThreads
	knownRead
	knownWrite
	knownFiles
)

// levelsOf returns what v says.
func levelsOf(v *snapshot.Values) levels {
	var l levels
	if v.State != "" {
		l.state = v.State[0]
	}
	if v.CPUMS != nil {
		l.known |= knownCPU
	}
	if v.MemoryUsage != nil {
		l.memory, l.known = *v.MemoryUsage, l.known|knownMemory
	}
	if v.Threads != nil {
		l.threads, l.known = *v.Threads, l.known|knownThreads
	}
	if v.OpenFiles != nil {
		l.files, l.known = *v.OpenFiles, l.known|knownFiles
	}
	if v.ReadBytes != nil {
		l.known |= knownRead
	}
	if v.WriteBytes != nil {
		l.known |= knownWrite
	}
	return l
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

// chainsOfMachine is how many chains are kept of a machine: the live one, and one
// that an agent extends with what it kept while it was away.
const chainsOfMachine = 2

// chainCache keeps the chains written last, bounded by the number of processes in
// them. It is safe for concurrent use.
type chainCache struct {
	mu          sync.Mutex
	limit, held int
	order       *list.List                // of *cachedChain, the newest put first
	byMachine   map[int32][]*list.Element // the newest put last
}

type cachedChain struct {
	machine int32
	chain   *chain
}

func newChainCache(limit int) *chainCache {
	return &chainCache{limit: limit, order: list.New(), byMachine: make(map[int32][]*list.Element)}
}

// take removes and returns a machine's chain that ends at ts, a snapshot that the
// database says the next one follows: another server may have written since. Until
// it is put back no one else has it.
func (c *chainCache) take(machine int32, ts snapshot.Time) *chain {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, element := range c.byMachine[machine] {
		if chain := element.Value.(*cachedChain).chain; chain.ts == ts {
			c.drop(element)
			return chain
		}
	}
	return nil
}

// put keeps a machine's chain and forgets those written longest ago.
func (c *chainCache) put(machine int32, chain *chain) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there := c.byMachine[machine]; len(there) == chainsOfMachine {
		c.drop(there[0])
	}
	c.byMachine[machine] = append(c.byMachine[machine], c.order.PushFront(&cachedChain{machine, chain}))
	c.held += weight(chain)
	for c.held > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
}

// dropBefore forgets the chains that end before ts.
func (c *chainCache) dropBefore(ts snapshot.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for element := c.order.Front(); element != nil; {
		next := element.Next()
		if element.Value.(*cachedChain).chain.ts < ts {
			c.drop(element)
		}
		element = next
	}
}

func (c *chainCache) drop(element *list.Element) {
	one := element.Value.(*cachedChain)
	c.held -= weight(one.chain)
	c.order.Remove(element)
	rest := slices.DeleteFunc(c.byMachine[one.machine], func(e *list.Element) bool { return e == element })
	if c.byMachine[one.machine] = rest; len(rest) == 0 {
		delete(c.byMachine, one.machine)
	}
}

// weight counts an empty chain too, so that machines without processes are bounded.
func weight(chain *chain) int { return len(chain.processes) + 1 }
