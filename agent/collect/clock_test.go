package collect

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Inside synctest there is only a monotonic clock. The test passes the wall clock separately.
func TestClockJumps(t *testing.T) {
	for name, test := range map[string]struct {
		set  time.Duration // by how much the clock is set
		jump time.Duration
		// advance is the difference of two timestamps 10 s apart.
		advance time.Duration
	}{
		"none":              {0, 0, 10 * time.Second},
		"a slew":            {4 * time.Millisecond, 0, 10*time.Second + 4*time.Millisecond},
		"forward":           {time.Hour, time.Hour, time.Hour + 10*time.Second},
		"back a little":     {-30 * time.Second, -30 * time.Second, 5 * time.Second},
		"back by the limit": {-10 * time.Minute, -10 * time.Minute, 5 * time.Second},
		"back further":      {-time.Hour, -time.Hour, 10*time.Second - time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c Clock
				before, jump := c.Stamp(time.Now())
				if jump != 0 {
					t.Errorf("the first timestamp has a jump of %s", jump)
				}
				time.Sleep(10 * time.Second)
				now := time.Now()
				at, jump := c.stamp(snapshot.TimeOf(now.Add(test.set)), now)
				if at.Sub(before) != test.advance || jump != test.jump {
					t.Errorf("the timestamp advances by %s with a jump of %s, want %s and %s",
						at.Sub(before), jump, test.advance, test.jump)
				}
			})
		})
	}
}

// Timestamps rise while a clock that was set back catches up, and follow it afterwards.
func TestClockCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		last, _ := c.Stamp(time.Now())
		for i := range 30 {
			time.Sleep(time.Second)
			now := time.Now()
			wall := snapshot.TimeOf(now.Add(-10 * time.Second))
			at, jump := c.stamp(wall, now)
			if at <= last || (jump != 0) != (i == 0) {
				t.Fatalf("sample %d: %s after %s, with a jump of %s", i, at, last, jump)
			}
			if caught := at == wall; caught != (i >= 19) {
				t.Errorf("sample %d: caught up is %t", i, caught)
			}
			last = at
		}
	})
}
