package collect

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Clock returns the timestamps of snapshots. If the machine's clock is set back by at most snapshot.MaxClockSkew,
// timestamps advance at half speed until the clock has caught up, so that snapshots stay in order. If it is set back
// further, timestamps follow it. The zero Clock is ready for use.
type Clock struct {
	last      time.Time // when the previous sample was taken, by the monotonic clock
	lastWall  snapshot.Time
	lastStamp snapshot.Time
}

// jumpTolerance is how far the wall clock may drift from the monotonic one between two samples. NTP adjusts the clock
// by at most one part in two thousand in addition.
const jumpTolerance = 500 * time.Millisecond

// Stamp returns the timestamp of a sample taken now, and the change of the clock since the previous sample, or 0. A
// suspend of the machine is such a change.
func (c *Clock) Stamp(now time.Time) (at snapshot.Time, jump time.Duration) {
	return c.stamp(snapshot.TimeOf(now), now)
}

// stamp is Stamp for a wall clock that is separate from the monotonic one.
func (c *Clock) stamp(wall snapshot.Time, now time.Time) (at snapshot.Time, jump time.Duration) {
	at = wall
	if !c.last.IsZero() {
		elapsed := now.Sub(c.last)
		if d := wall.Sub(c.lastWall) - elapsed; d.Abs() > jumpTolerance+elapsed/1000 {
			jump = d.Round(time.Millisecond)
		}
		if behind := c.lastStamp.Sub(wall); behind >= 0 && behind <= snapshot.MaxClockSkew {
			at = max(wall, c.lastStamp.Add(max(elapsed/2, time.Millisecond)))
		}
	}
	c.last, c.lastWall, c.lastStamp = now, wall, at
	return at, jump
}
