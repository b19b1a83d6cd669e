package agent

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// clock stamps snapshots. Their order is that in which they were taken, whatever is done
// to the machine's clock: when that is set back by as much as a server would still have
// believed, stamps go on at half the speed until the clock has caught up with them; when
// by more, they follow it. Either way the snapshot after is marked.
type clock struct {
	last    time.Time // when the sample before was taken, by the monotonic clock
	wall    snapshot.Time
	stamped snapshot.Time
}

// jumpSlack is what a clock may be off the monotonic one between two samples; besides,
// NTP slews by half a thousandth at the most.
const jumpSlack = 500 * time.Millisecond

// stamp returns the stamp of a sample taken now, and by how much the clock was set since
// the one before; 0 if it was not. A machine that has slept has its clock set, too.
func (c *clock) stamp(now time.Time) (at snapshot.Time, jump time.Duration) {
	return c.stampAt(snapshot.TimeOf(now), now)
}

// stampAt does so for a wall clock apart from the monotonic one.
func (c *clock) stampAt(wall snapshot.Time, now time.Time) (at snapshot.Time, jump time.Duration) {
	at = wall
	if !c.last.IsZero() {
		elapsed := now.Sub(c.last)
		if d := wall.Sub(c.wall) - elapsed; d.Abs() > jumpSlack+elapsed/1000 {
			jump = d.Round(time.Millisecond)
		}
		if behind := c.stamped.Sub(wall); behind >= 0 && behind <= snapshot.MaxClockSkew {
			at = max(wall, c.stamped.Add(max(elapsed/2, time.Millisecond)))
		}
	}
	c.last, c.wall, c.stamped = now, wall, at
	return at, jump
}
