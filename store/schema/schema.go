// Package schema maps snapshots to the rows of the series' tables, for the writer, and back, for the
// queries.
package schema

import (
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
)

// StateExited is the state of the last row of a process that exited and used nothing since the row
// before. A process that used something last has snapshot.StateEnded instead.
const StateExited = "exited"

// IsGone reports whether a row with this state is the last one of its process.
func IsGone(state string) bool { return state == StateExited || state == snapshot.StateEnded }

// NullTime returns t as a nullable timestamp, nil for 0.
func NullTime(t snapshot.Time) *time.Time {
	if t == 0 {
		return nil
	}
	std := t.Std()
	return &std
}
