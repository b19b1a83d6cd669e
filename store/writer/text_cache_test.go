package writer

import "testing"

// The cache has at most as many texts as its limit, and keeps those that are used. A text of another day is looked up.
func TestTextCache(t *testing.T) {
	t.Parallel()
	c := newTextCache(10)
	key := func(i int64) textKey { return textKey{hash: i} }
	c.put(map[textKey]textRow{key(0): {7, 100}})
	for i := range int64(1000) {
		if id, ok := c.get(key(0), 100); !ok || id != 7 {
			t.Fatalf("the used text is gone after %d others", i)
		}
		c.put(map[textKey]textRow{key(i + 1): {i, 100}})
		if c.size() > 10 {
			t.Fatalf("%d texts in a cache of 10", c.size())
		}
	}
	if _, ok := c.get(key(1), 100); ok {
		t.Error("the cache still has the first text")
	}
	if _, ok := c.get(key(0), 101); ok {
		t.Error("the cache returned a text that was not used today")
	}
	if _, ok := c.get(key(0), 99); !ok {
		t.Error("the cache did not return a text of a later day")
	}
}
