package store

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Maintenance that fails, or does not end, is reported after some time, with the reason.
func TestCheckMaintenance(t *testing.T) {
	t.Parallel()
	var state upkeepState
	check := func(when string, at time.Time, want string) {
		t.Helper()
		if err := state.check(at); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", when, err)
		}
	}
	now := time.Now()
	failed := errors.New("canceling statement due to lock timeout")
	check("before the first round", now.Add(24*time.Hour), "")
	state.begin(now)
	check("a round that runs", now.Add(maxRound/2), "")
	check("a round that does not end", now.Add(maxRound+time.Minute), "running for 2h1m")
	state.end(refreshOnly, failed)
	check("after a failed refresh", now.Add(time.Minute), "")
	state.begin(now.Add(2 * time.Minute))
	state.end(refreshOnly, failed)
	check("after failed refreshes", now.Add(6*time.Minute), "rollups has been failing for 6m0s: canceling statement")
	state.begin(now.Add(3 * time.Minute))
	state.end(fullRound, failed)
	state.end(refreshOnly, nil)
	check("after a refresh that succeeded", now.Add(30*time.Minute), "")
	check("after failed rounds", now.Add(2*time.Hour), "maintenance has been failing for 1h57m0s")
	state.end(fullRound, nil)
	check("after a round that succeeded", now.Add(24*time.Hour), "")
}
