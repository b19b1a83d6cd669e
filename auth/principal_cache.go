package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/snapwatch/snapwatch/internal/cachemetrics"
)

const (
	// cacheLifetime is how long an authenticated principal is cached. Changes invalidate the cache at once, on
	// every server (see Service.AccessChanged).
	cacheLifetime = time.Minute
	// defaultCacheSize is the default of Config.CacheSize.
	defaultCacheSize = 20_000
	// removalLogSize is how many removals a principalCache remembers. A look-up during which more occur is not cached.
	removalLogSize = 1024
)

// credentialID is the id of a session or of a token in the database. The other field is 0.
type credentialID struct{ session, token int64 }

// cachedPrincipal is the principal of a secret, as read from the database at a time.
type cachedPrincipal struct {
	principal *Principal
	readAt    time.Time
}

// principalCache caches the principals of secrets. It is safe for concurrent use.
//
// A look-up in the database can return what a change makes obsolete before the result is cached. So a look-up begins
// with begin, and add refuses its result if the credential was removed since then.
type principalCache struct {
	metrics *cachemetrics.Metrics

	mu       sync.Mutex
	entries  *simplelru.LRU[string, cachedPrincipal] // by hash of the secret
	byID     map[credentialID]string                 // the hash of each entry
	enabled  bool                                    // see setEnabled
	purges   uint64                                  // number of purges
	removals uint64                                  // number of removals
	removed  [removalLogSize]credentialID            // the last removals; removal n is at n modulo the size
}

// lookUpMark is the state of a principalCache at the start of a look-up.
type lookUpMark struct{ purges, removals uint64 }

// newPrincipalCache returns a cache of at most size principals. It is off until setEnabled is called.
func newPrincipalCache(size int) (*principalCache, error) {
	c := &principalCache{byID: make(map[credentialID]string)}
	var err error
	c.entries, err = simplelru.NewLRU(size, func(_ string, evicted cachedPrincipal) {
		delete(c.byID, idOf(evicted.principal))
	})
	return c, err
}

func idOf(p *Principal) credentialID { return credentialID{p.SessionID, p.TokenID} }

// get returns the principal of a credential that is valid now, or nil.
func (c *principalCache) get(hash []byte, now time.Time) *Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, hit := c.entries.Get(string(hash))
	hit = hit && now.Sub(found.readAt) < cacheLifetime && found.principal.validAt(now)
	c.metrics.Looked(hit)
	if !hit {
		return nil
	}
	return found.principal
}

// begin returns the mark for add. Call it before the database is read.
func (c *principalCache) begin() lookUpMark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lookUpMark{c.purges, c.removals}
}

// add caches a principal, unless the cache is off or the principal was removed since begin returned the mark.
func (c *principalCache) add(mark lookUpMark, p *Principal, readAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.enabled || c.purges != mark.purges || c.removals-mark.removals > removalLogSize {
		return
	}
	for n := mark.removals; n < c.removals; n++ {
		if c.removed[n%removalLogSize] == idOf(p) {
			return
		}
	}
	hash := string(p.credential.hash)
	if c.entries.Add(hash, cachedPrincipal{p, readAt}) {
		c.metrics.Evicted(1)
	}
	c.byID[idOf(p)] = hash
}

// remove removes credentials.
func (c *principalCache) remove(ids ...credentialID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.removed[c.removals%removalLogSize] = id
		c.removals++
		if hash, found := c.byID[id]; found {
			c.entries.Remove(hash)
		}
	}
}

// purge removes all principals.
func (c *principalCache) purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purges++
	c.entries.Purge()
}

// setEnabled purges the cache and turns it on or off.
func (c *principalCache) setEnabled(enabled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purges++
	c.entries.Purge()
	c.enabled = enabled
}

// size returns the number of cached principals.
func (c *principalCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Len()
}
