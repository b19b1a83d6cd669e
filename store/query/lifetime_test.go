package query_test

import (
	"errors"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/store/query"
	"github.com/snapwatch/snapwatch/store/storetest"
)

// A pid without a start time is the process that started last, even if data of an earlier one arrived later.
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
