package schema

import (
	"fmt"
	"time"
)

// The posts of one agent after those of another, within a short time, mean that both run. A late post of an agent that
// was stopped can arrive after the first post of the next one. That makes two turns.
const (
	// MinTurns is how often agents must post again after others to be reported.
	MinTurns = 3
	// turnGap is the longest time between two turns of a series, and turnsExpire is how long after the last turn the
	// agents are still reported. Both are at least turnIntervals polling intervals of the machine, because an agent
	// posts once per interval.
	turnGap       = 10 * time.Minute
	turnsExpire   = time.Hour
	turnIntervals = 3
)

// TurnGap returns the longest time between two turns of a series, given the machine's polling interval in seconds.
func TurnGap(pollingInterval float64) time.Duration {
	return max(turnGap, severalIntervals(pollingInterval))
}

func severalIntervals(pollingInterval float64) time.Duration {
	return time.Duration(turnIntervals * pollingInterval * float64(time.Second))
}

// HaveTurns reports whether several agents report as a machine in turns, given its polling interval in seconds.
// turnedAt is nil if there was no turn.
func HaveTurns(turns int, turnedAt *time.Time, pollingInterval float64, now time.Time) bool {
	expire := max(turnsExpire, severalIntervals(pollingInterval))
	return turns >= MinTurns && turnedAt != nil && now.Sub(*turnedAt) <= expire
}

// TurnsSQL is HaveTurns for the columns of machines m, as SQL. $1 is the time now.
var TurnsSQL = fmt.Sprintf(`(m.turns >= %d AND m.turned_at >= $1::timestamptz -
	make_interval(secs => greatest(%d, %d * m.polling_interval)))`,
	MinTurns, int(turnsExpire.Seconds()), turnIntervals)
