package store

import (
	"container/list"

	"github.com/cespare/xxhash/v2"

	"github.com/snapwatch/snapwatch/snapshot"
)

// chain is what a machine ran at its newest snapshot, as far as the writer needs
// it: a changes snapshot may only extend it. A chain is never changed once it is
// in the cache; extending makes a new one.
type chain struct {
	ts, fullTS snapshot.Time
	processes  map[snapshot.ProcessKey]*processRef
}

// processRef is a row of processes: id is 0 until it is inserted.
type processRef struct {
	id       int64
	identity int64
	day      int32 // last_day, in days since 1970
}

// identityHash is what tells one identity of a process from the next. The
// strings hold no NUL, so the separator keeps them apart.
func identityHash(id *snapshot.Identity) int64 {
	digest := xxhash.New()
	var ppid [4]byte
	for i := range ppid {
		ppid[i] = byte(id.PPID >> (8 * i))
	}
	_, _ = digest.Write(ppid[:])
	for _, text := range []string{id.Name, id.CommandLine, id.User} {
		_, _ = digest.WriteString(text)
		_, _ = digest.Write([]byte{0})
	}
	return int64(digest.Sum64())
}

// chainCache keeps the chains of the machines written last, bounded by the
// number of processes in them. The writer's lock guards it.
type chainCache struct {
	limit, held int
	order       *list.List // of *cachedChain, newest first
	byMachine   map[int32]*list.Element
}

type cachedChain struct {
	machine int32
	chain   *chain
}

func newChainCache(limit int) *chainCache {
	return &chainCache{limit: limit, order: list.New(), byMachine: make(map[int32]*list.Element)}
}

// get returns a machine's chain if it ends at ts, which the database says is the
// machine's newest snapshot: another server may have written since.
func (c *chainCache) get(machine int32, ts snapshot.Time) *chain {
	element, ok := c.byMachine[machine]
	if !ok || element.Value.(*cachedChain).chain.ts != ts {
		return nil
	}
	return element.Value.(*cachedChain).chain
}

// put replaces a machine's chain and forgets those written longest ago.
func (c *chainCache) put(machine int32, chain *chain) {
	c.drop(machine)
	c.byMachine[machine] = c.order.PushFront(&cachedChain{machine, chain})
	c.held += weight(chain)
	for c.held > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back().Value.(*cachedChain).machine)
	}
}

// dropBefore forgets the chains that end before ts.
func (c *chainCache) dropBefore(ts snapshot.Time) {
	for machine, element := range c.byMachine {
		if element.Value.(*cachedChain).chain.ts < ts {
			c.drop(machine)
		}
	}
}

func (c *chainCache) drop(machine int32) {
	if element, ok := c.byMachine[machine]; ok {
		c.held -= weight(element.Value.(*cachedChain).chain)
		c.order.Remove(element)
		delete(c.byMachine, machine)
	}
}

// weight counts an empty chain too, so that machines without processes are bounded.
func weight(chain *chain) int { return len(chain.processes) + 1 }
