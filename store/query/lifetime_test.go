package query_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A pid without a start time is the process that was sampled last, even if data of an earlier one arrived later.
func TestNewestProcessOfAPID(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, nil)
	now := storetest.Recent()
	first, last := now.Add(-2*time.Hour), now.Add(-time.Hour)
	ppid := int32(1)
	for _, started := range []snapshot.Time{last, first} {
		storetest.Write(t, s, "m", snapshot.Snapshot{
			Timestamp: started.Add(time.Minute),
			Kind:      snapshot.KindFull,
			Processes: []snapshot.ProcessSample{{PID: 66, StartedAt: started, PPID: &ppid, Name: "job"}},
		})
	}
	for _, test := range []struct{ given, want snapshot.Time }{{0, last}, {first, first}, {last, last}} {
		lifetime, err := s.ProcessLifetime(t.Context(), "m", 66, test.given)
		if err != nil || lifetime.StartedAt != test.want {
			t.Errorf("start time %s: %+v (%v), want %s", test.given, lifetime, err, test.want)
		}
	}
	if _, err := s.ProcessLifetime(t.Context(), "m", 66, now); !errors.Is(err, query.ErrNoProcess) {
		t.Errorf("another start time: %v", err)
	}
}

// The process that was sampled last is the newest one, also if its start time is unknown or earlier.
func TestNewestProcessWasSampledLast(t *testing.T) {
	t.Parallel()
	storetest.EachProfileShared(t, func(t *testing.T, db storetest.Database) {
		s := db.Open(t, nil)
		for i, test := range []struct {
			first, second snapshot.Time // start times
			gap           time.Duration // between the samples
		}{
			{clock(13, 0, 0), 0, 5 * time.Second},
			{clock(13, 0, 0), clock(12, 0, 0), 5 * time.Second}, // the clock was set back
			{clock(13, 0, 0), 0, 15 * time.Hour},
			{0, clock(13, 0, 0), 2 * time.Hour},
		} {
			machineID := fmt.Sprint("lives-", i)
			for k, started := range []snapshot.Time{test.first, test.second} {
				one := entry(66, "job", 0, 1<<20)
				one.StartedAt, one.CommandLine = started, fmt.Sprint("life ", k)
				at := clock(14, 0, 0).Add(time.Duration(k) * test.gap)
				storetest.Write(t, s, machineID, full(at, 5*time.Second, one))
			}
			lifetime, err := s.ProcessLifetime(t.Context(), machineID, 66, 0)
			if err != nil || lifetime.StartedAt != test.second || lifetime.Identities[0].CommandLine != "life 1" {
				t.Errorf("case %d: %+v (%v), want the second life", i, lifetime, err)
			}
		}
	})
}
