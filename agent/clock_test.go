package agent

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Within synctest the clock is monotonic alone; a jump is made by moving the stamps of
// the sample before.
func TestClockJumps(t *testing.T) {
	for name, test := range map[string]struct {
		set    time.Duration
		marked time.Duration
		// after is the stamp after 10 s, from the stamp before.
		after time.Duration
	}{
		"none":                  {0, 0, 10 * time.Second},
		"a slew":                {4 * time.Millisecond, 0, 10*time.Second + 4*time.Millisecond},
		"forth":                 {time.Hour, time.Hour, time.Hour + 10*time.Second},
		"back a little":         {-30 * time.Second, -30 * time.Second, 5 * time.Second},
		"back as far as passes": {-10 * time.Minute, -10 * time.Minute, 5 * time.Second},
		"back further":          {-time.Hour, -time.Hour, 10*time.Second - time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c clock
				before, jump := c.stamp(time.Now())
				if jump != 0 {
					t.Errorf("the first is marked with %s", jump)
				}
				time.Sleep(10 * time.Second)
				now := time.Now()
				at, jump := c.stampAt(snapshot.TimeOf(now.Add(test.set)), now)
				if at.Sub(before) != test.after || jump != test.marked {
					t.Errorf("%s later, marked with %s; want %s and %s", at.Sub(before), jump, test.after, test.marked)
				}
			})
		})
	}
}

// Stamps rise while a clock that was set back catches up, and then are the clock's.
func TestClockCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		last, _ := c.stamp(time.Now())
		for i := range 30 {
			time.Sleep(time.Second)
			now := time.Now()
			wall := snapshot.TimeOf(now.Add(-10 * time.Second))
			at, jump := c.stampAt(wall, now)
			if at <= last || (jump != 0) != (i == 0) {
				t.Fatalf("sample %d: %s after %s, marked with %s", i, at, last, jump)
			}
			if caught := at == wall; caught != (i >= 19) {
				t.Errorf("sample %d: caught up is %t", i, caught)
			}
			last = at
		}
	})
}
