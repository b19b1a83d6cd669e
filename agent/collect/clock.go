package collect

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Clock returns the timestamps of snapshots. If the machine's clock is set back by at most snapshot.MaxClockSkew,
// timestamps advance at half speed until the clock has caught up, so that snapshots stay in order. If it is set back
// further, timestamps follow it. The zero Clock is ready for use.
type Clock struct {
	// SinceBoot returns the time since boot, including suspends. Without it, a suspend looks like a change of the
	// clock.
	SinceBoot func() time.Duration

	last          time.Time // when the previous sample was taken, by the monotonic clock
	lastSinceBoot time.Duration
	lastWall      snapshot.Time
	lastStamp     snapshot.Time
}

// jumpTolerance is how far the wall clock may drift from the monotonic one between two samples. NTP adjusts the clock
// by at most one part in two thousand in addition.
const jumpTolerance = 500 * time.Millisecond

// Stamp is the timestamp of a sample, and what happened to the machine since the previous one.
type Stamp struct {
	At snapshot.Time
	// Jump is by how much the clock was set. Without SinceBoot, it includes Suspended.
	Jump time.Duration
	// Suspended is for how long the machine was suspended.
	Suspended time.Duration
}

// Stamp returns the timestamp of a sample taken now.
func (c *Clock) Stamp(now time.Time) Stamp { return c.stamp(snapshot.TimeOf(now), now) }

// stamp is Stamp for a wall clock that is separate from the monotonic one.
func (c *Clock) stamp(wall snapshot.Time, now time.Time) Stamp {
	out := Stamp{At: wall}
	sinceBoot := time.Duration(0)
	if c.SinceBoot != nil {
		sinceBoot = c.SinceBoot()
	}
	if !c.last.IsZero() {
		elapsed := now.Sub(c.last)
		tolerance := jumpTolerance + elapsed/1000
		if suspended := sinceBoot - c.lastSinceBoot - elapsed; c.SinceBoot != nil && suspended > tolerance {
			out.Suspended = suspended.Round(time.Millisecond)
			elapsed += suspended
		}
		if d := wall.Sub(c.lastWall) - elapsed; d.Abs() > tolerance {
			out.Jump = d.Round(time.Millisecond)
		}
		if behind := c.lastStamp.Sub(wall); behind >= 0 && behind <= snapshot.MaxClockSkew {
			out.At = max(wall, c.lastStamp.Add(max(elapsed/2, time.Millisecond)))
		}
	}
	c.last, c.lastSinceBoot, c.lastWall, c.lastStamp = now, sinceBoot, wall, out.At
	return out
}
