package guard

import (
	"context"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/internal/testwait"
)

// wait is long enough for calls that do not block, on a busy machine too.
const wait = time.Second

// calls is a function for a Group whose calls of some keys block.
type calls struct {
	block   map[string]chan struct{}
	started chan string
}

func (c *calls) call(key string) string {
	if block, ok := c.block[key]; ok {
		c.started <- key
		<-block
	}
	return "value of " + key
}

// A call that blocks delays the others once, and does not run twice. Its key keeps the last value.
func TestACallThatBlocks(t *testing.T) {
	t.Parallel()
	c := &calls{block: map[string]chan struct{}{}, started: make(chan string, 10)}
	g := New(wait, 10, c.call)
	read := func() []Result[string] { return g.Read(t.Context(), []string{"a", "b", "c"}) }
	for i, r := range read() {
		if !r.Known || r.Stale || r.Value != "value of "+string(rune('a'+i)) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	release := make(chan struct{})
	c.block["b"] = release
	for range 3 {
		list := read()
		if want := (Result[string]{Value: "value of b", Known: true, Stale: true}); list[1] != want {
			t.Errorf("%+v, want %+v", list[1], want)
		}
		if list[0].Stale || list[2].Stale {
			t.Errorf("%+v: a call that blocks affects others", list)
		}
	}
	if <-c.started; len(c.started) != 0 {
		t.Error("a second call was made")
	}
	close(release)
	testwait.Until(t, "the call to return", func() bool { return !read()[1].Stale })
}

// Several calls that block delay the others only once, and there is a limit of their number.
func TestCallsThatBlockAreLimited(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	c := &calls{block: map[string]chan struct{}{}, started: make(chan string, 100)}
	keys := []string{"good"}
	for i := range 10 {
		key := string(rune('a' + i))
		c.block[key], keys = release, append(keys, key)
	}
	const limit = 4
	g := New(wait, limit, c.call)
	for i := range 3 {
		list := g.Read(t.Context(), keys)
		if !list[0].Known || i == 0 && list[0].Stale {
			t.Errorf("%d: %+v", i, list[0])
		}
		for _, r := range list[1:] {
			if r.Known || !r.Stale {
				t.Errorf("%d: %+v, want an unknown value", i, r)
			}
		}
	}
	for range limit {
		<-c.started
	}
	if len(c.started) != 0 {
		t.Errorf("more than %d calls run", limit)
	}
}

// Keys that are no longer read are removed. One whose call still runs does not get a second call.
func TestKeysAreRemoved(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	c := &calls{block: map[string]chan struct{}{"b": release}, started: make(chan string, 10)}
	g := New(time.Millisecond, 10, c.call)
	g.Read(t.Context(), []string{"a", "b"})
	testwait.Until(t, "the key whose call has returned to be removed", func() bool {
		g.Read(t.Context(), nil)
		return len(g.keys) == 1
	})
	g.Read(t.Context(), []string{"b"})
	<-c.started
	if len(c.started) != 0 {
		t.Error("a second call was made")
	}
	close(release)
	testwait.Until(t, "the keys to be removed", func() bool {
		g.Read(t.Context(), nil)
		return len(g.keys) == 0
	})
}

// A context that ends stops the wait.
func TestContextStopsTheWait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	c := &calls{block: map[string]chan struct{}{"b": release}, started: make(chan string, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := New(time.Hour, 10, c.call).Read(ctx, []string{"b"}); !r[0].Stale {
		t.Errorf("%+v", r[0])
	}
}
