package auth

import (
	"fmt"
	"testing"
	"time"
)

// testPrincipal returns the principal of a token, whose secret has the hash "hash n".
func testPrincipal(n int) *Principal {
	return &Principal{TokenID: int64(n), credential: credential{KindToken, fmt.Appendf(nil, "hash %d", n)}}
}

// A principal that was removed during its look-up is not cached, even if many others were removed too. Others are.
func TestPrincipalRemovedDuringLookUp(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		name    string
		changes func(c *principalCache)
		cached  bool
	}{
		{"nothing", func(*principalCache) {}, true},
		{"itself", func(c *principalCache) { c.remove(credentialID{token: 1}) }, false},
		{"another token", func(c *principalCache) { c.remove(credentialID{token: 2}) }, true},
		{"the session of that id", func(c *principalCache) { c.remove(credentialID{session: 1}) }, true},
		{"itself first of as many as the log has", func(c *principalCache) {
			for i := range removalLogSize {
				c.remove(credentialID{token: int64(i + 1)})
			}
		}, false},
		{"others, as many as the log has", func(c *principalCache) {
			for i := range removalLogSize {
				c.remove(credentialID{token: int64(i + 2)})
			}
		}, true},
		{"more than the log has", func(c *principalCache) {
			for i := range removalLogSize + 1 {
				c.remove(credentialID{token: int64(i + 2)})
			}
		}, false},
		{"all", (*principalCache).purge, false},
		{"listening ended and began", func(c *principalCache) { c.setEnabled(false); c.setEnabled(true) }, false},
	} {
		c, err := newPrincipalCache(10)
		if err != nil {
			t.Fatal(err)
		}
		c.setEnabled(true)
		c.remove(make([]credentialID, 3)...) // before the look-up
		mark := c.begin()
		test.changes(c)
		c.add(mark, testPrincipal(1), now)
		if cached := c.get([]byte("hash 1"), now) != nil; cached != test.cached {
			t.Errorf("%s changed: the principal is cached: %v, want %v", test.name, cached, test.cached)
		}
	}
}

// The cache and its index have at most as many entries as the limit, and the same ones.
func TestPrincipalCacheIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c, err := newPrincipalCache(10)
	if err != nil {
		t.Fatal(err)
	}
	c.add(c.begin(), testPrincipal(0), now)
	if c.size() != 0 {
		t.Error("the cache is not off at first")
	}
	c.setEnabled(true)
	for i := range 11 {
		c.add(c.begin(), testPrincipal(i), now)
		c.add(c.begin(), testPrincipal(i), now)
	}
	if c.size() != 10 || len(c.byID) != 10 || c.get([]byte("hash 0"), now) != nil ||
		c.get([]byte("hash 10"), now) == nil {
		t.Errorf("%d entries and %d ids in a cache of 10", c.size(), len(c.byID))
	}
	c.remove(credentialID{token: 10})
	if c.size() != 9 || len(c.byID) != 9 || c.get([]byte("hash 10"), now) != nil {
		t.Errorf("%d entries and %d ids after a removal, want 9", c.size(), len(c.byID))
	}
	if c.get([]byte("hash 9"), now.Add(cacheLifetime)) != nil {
		t.Error("a principal is cached for longer than the lifetime")
	}
	c.purge()
	if c.size() != 0 || len(c.byID) != 0 {
		t.Errorf("%d entries and %d ids after a purge", c.size(), len(c.byID))
	}
}
