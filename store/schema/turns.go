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
	// TurnGap is the longest time between two turns of a series.
	TurnGap = 10 * time.Minute
	// turnsExpire is how long after the last turn the agents are still reported.
	turnsExpire = time.Hour
)

// HaveTurns reports whether several agents report as a machine in turns. turnedAt is nil if there was no turn.
func HaveTurns(turns int, turnedAt *time.Time, now time.Time) bool {
	return turns >= MinTurns && turnedAt != nil && now.Sub(*turnedAt) <= turnsExpire
}

// TurnsSQL is HaveTurns for the columns of machines m, as SQL. $1 is the time now.
var TurnsSQL = fmt.Sprintf(`(m.turns >= %d AND m.turned_at >= $1::timestamptz - interval '%d seconds')`,
	MinTurns, int(turnsExpire.Seconds()))
