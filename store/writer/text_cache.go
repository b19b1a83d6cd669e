package writer

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/snapwatch/snapwatch/internal/cachemetrics"
)

// textTable is a table of the texts of short-lived processes.
type textTable uint8

const (
	commandTable textTable = iota
	ownerTable
)

// textKey identifies a text of a machine.
type textKey struct {
	hash    int64
	machine int32
	table   textTable
}

// textRow is a stored text: its id and the day of last_day, in days since 1970.
type textRow struct {
	id  int64
	day int32
}

// hashCommand returns the hash of a name and a command line or template, and the buffer for reuse. The strings
// contain no NUL, so it separates them. The key is a secret of the database: without it, nobody can make two texts
// with one hash.
func hashCommand(buffer []byte, key, name string, template []byte, hasVars bool) (int64, []byte) {
	buffer = append(append(append(buffer[:0], key...), name...), 0)
	buffer = append(append(buffer, template...), 0)
	if hasVars {
		buffer = append(buffer, 1)
	}
	return hashText(buffer), buffer
}

// hashOwner is the same for a user and a control group.
func hashOwner(buffer []byte, key, user, cgroup string) (int64, []byte) {
	buffer = append(append(append(buffer[:0], key...), user...), 0)
	buffer = append(buffer, cgroup...)
	return hashText(buffer), buffer
}

// hashText returns the first eight bytes of SHA-256.
func hashText(text []byte) int64 {
	sum := sha256.Sum256(text)
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// textCache caches the ids of texts that were used lately. Its size is bounded by the number of texts. It is safe for
// concurrent use.
type textCache struct {
	metrics *cachemetrics.Metrics
	mu      sync.Mutex
	limit   int
	// A text that is used is moved to recent. When recent has half of the limit, older is discarded and recent
	// becomes older. No text is in both.
	recent, older map[textKey]textRow
}

func newTextCache(limit int) *textCache {
	return &textCache{limit: limit, recent: make(map[textKey]textRow)}
}

// get returns the id of a text that was used on a day. The row of a text that was not is unknown: retention may have
// deleted it.
func (c *textCache) get(key textKey, day int32) (id int64, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row, found := c.recent[key]
	if !found {
		if row, found = c.older[key]; found {
			c.add(key, row)
		}
	}
	found = found && row.day >= day
	c.metrics.Looked(found)
	return row.id, found
}

// put adds the texts that a committed transaction has used.
func (c *textCache) put(rows map[textKey]textRow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, row := range rows {
		c.add(key, row)
	}
}

func (c *textCache) add(key textKey, row textRow) {
	delete(c.older, key)
	if _, found := c.recent[key]; !found && len(c.recent) >= max(c.limit/2, 1) {
		c.metrics.Evicted(len(c.older))
		c.recent, c.older = make(map[textKey]textRow), c.recent
	}
	c.recent[key] = row
}

// size returns the number of cached texts.
func (c *textCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.recent) + len(c.older)
}
