package collect

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Inside synctest there is only a monotonic clock. The test passes the wall clock and the time since boot separately.
func TestClockJumps(t *testing.T) {
	for name, test := range map[string]struct {
		set       time.Duration // by how much the clock is set
		suspended time.Duration
		jump      time.Duration
		// advance is the difference of two timestamps 10 s apart, apart from the suspend.
		advance time.Duration
	}{
		"none":                       {0, 0, 0, 10 * time.Second},
		"a slew":                     {4 * time.Millisecond, 0, 0, 10*time.Second + 4*time.Millisecond},
		"forward":                    {time.Hour, 0, time.Hour, time.Hour + 10*time.Second},
		"back a little":              {-30 * time.Second, 0, -30 * time.Second, 5 * time.Second},
		"back by the limit":          {-10 * time.Minute, 0, -10 * time.Minute, 5 * time.Second},
		"back further":               {-time.Hour, 0, -time.Hour, 10*time.Second - time.Hour},
		"a suspend":                  {0, 8 * time.Hour, 0, 8*time.Hour + 10*time.Second},
		"a suspend, then set by NTP": {-20 * time.Second, time.Hour, -20 * time.Second, time.Hour - 10*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, suspended := time.Now(), time.Duration(0)
				c := Clock{SinceBoot: func() time.Duration { return time.Since(begin) + suspended }}
				before := c.Stamp(time.Now())
				if before.Jump != 0 || before.Suspended != 0 {
					t.Errorf("the first timestamp has a jump of %s after %s", before.Jump, before.Suspended)
				}
				time.Sleep(10 * time.Second)
				now := time.Now()
				suspended = test.suspended
				stamp := c.stamp(snapshot.TimeOf(now.Add(test.set+test.suspended)), now)
				if advance := stamp.At.Sub(before.At); advance != test.advance || stamp.Jump != test.jump ||
					stamp.Suspended != test.suspended {
					t.Errorf("the timestamp advances by %s with %+v, want %s, and %s after %s", advance, stamp,
						test.advance, test.jump, test.suspended)
				}
			})
		})
	}
}

// Without the time since boot, a suspend looks like a change of the clock.
func TestClockWithoutTheTimeSinceBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		c.Stamp(time.Now())
		time.Sleep(10 * time.Second)
		now := time.Now()
		if stamp := c.stamp(snapshot.TimeOf(now.Add(time.Hour)), now); stamp.Jump != time.Hour || stamp.Suspended != 0 {
			t.Errorf("%+v", stamp)
		}
	})
}

// Timestamps rise while a clock that was set back catches up, and follow it afterwards.
func TestClockCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		last := c.Stamp(time.Now()).At
		for i := range 30 {
			time.Sleep(time.Second)
			now := time.Now()
			wall := snapshot.TimeOf(now.Add(-10 * time.Second))
			stamp := c.stamp(wall, now)
			at, jump := stamp.At, stamp.Jump
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
