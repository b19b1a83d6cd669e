package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/snapwatch/snapwatch/internal/pgsession"
)

// maxFailing is how long rounds of maintenance, or refreshes, may fail before CheckMaintenance returns an error. At
// least two in a row have failed then.
var maxFailing = map[upkeepKind]time.Duration{
	fullRound:   maintenanceInterval + 10*time.Minute,
	refreshOnly: 5 * time.Minute,
}

// maxRound is how long a round may take before CheckMaintenance returns an error.
const maxRound = 2 * time.Hour

// upkeepKind is a kind of rounds of maintenance.
type upkeepKind string

const (
	fullRound   upkeepKind = "maintenance"
	refreshOnly upkeepKind = "the refresh of the rollups"
)

// failingRounds are successive rounds of a kind that failed.
type failingRounds struct {
	since time.Time // start of the first one
	err   error     // of the last one
}

// upkeepState is the state of the rounds of maintenance. The zero value is ready for use.
type upkeepState struct {
	mu      sync.Mutex
	started time.Time // of the running round, zero if none runs
	failing map[upkeepKind]failingRounds
}

// begin records that a round begins.
func (u *upkeepState) begin(at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.started = at
}

// end records the end of a round.
func (u *upkeepState) end(kind upkeepKind, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failing == nil {
		u.failing = make(map[upkeepKind]failingRounds)
	}
	one, failed := u.failing[kind]
	switch {
	case err == nil:
		delete(u.failing, kind)
	case !failed:
		u.failing[kind] = failingRounds{u.started, err}
	default:
		u.failing[kind] = failingRounds{one.since, err}
	}
	u.started = time.Time{}
}

// check returns an error if rounds have been failing, or one has been running, for too long.
func (u *upkeepState) check(now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, kind := range []upkeepKind{refreshOnly, fullRound} {
		one, failed := u.failing[kind]
		if took := now.Sub(one.since); failed && took > maxFailing[kind] {
			return fmt.Errorf("%s has been failing for %s: %w", kind, took.Round(time.Minute), pgsession.Cause(one.err))
		}
	}
	if took := now.Sub(u.started); !u.started.IsZero() && took > maxRound {
		return fmt.Errorf("a round of maintenance has been running for %s; see pg_stat_activity for what it waits for",
			took.Round(time.Minute))
	}
	return nil
}

// CheckMaintenance returns an error if rounds of Maintain have been failing, or one has been running, for too long.
// Rollups are then not refreshed, and expired data is not deleted.
func (s *Store) CheckMaintenance(context.Context) error { return s.upkeep.check(time.Now()) }
