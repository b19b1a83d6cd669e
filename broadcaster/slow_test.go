package broadcaster_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/metricstest"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// A client that does not read holds a bounded queue, gets the newest snapshot
// when it reads again, and slows no one down meanwhile.
func TestSlowClientGetsTheNewest(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxQueuedBytes: 1 << 20, WriteTimeout: 5 * time.Minute})
	machine := snapshottest.NewMachine(2, 1500) // a message of about 400 KB
	machine.Churn = 0
	l.series = machine.Series(snapshot.TimeOf(time.Now().Add(-time.Hour)), 40, time.Second, 40).Snapshots
	l.write(t, "big", 0, 1)
	slow, fast := l.dial(t), l.dial(t)
	for _, s := range []*socket{slow, fast} {
		s.say(`{"action":"subscribe","machine_id":"big"}`)
		s.want("subscribed")
		s.wantSnapshot(l.series[0].Timestamp)
	}
	for i := 1; i < 40; i++ {
		l.write(t, "big", i, i+1)
		fast.wantSnapshot(l.series[i].Timestamp)
	}
	last, heard := l.series[0].Timestamp, 0
	for newest := l.series[39].Timestamp; last < newest; heard++ {
		message := slow.want("snapshot_message").Message
		if message.Timestamp <= last {
			t.Fatalf("heard of %s after %s", message.Timestamp, last)
		}
		last = message.Timestamp
	}
	if heard == 39 {
		t.Error("nothing was skipped: the queue has no bound, or this test has too little data")
	}
	if counted := metricstest.Value(t, l.registry, "snapwatch_live_skipped_total"); counted != float64(39-heard) {
		t.Errorf("%d were skipped, and counted as %v", 39-heard, counted)
	}
}

// A client that takes nothing at all is closed, and forgotten.
func TestDeadClientIsClosed(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{WriteTimeout: 100 * time.Millisecond})
	machine := snapshottest.NewMachine(3, 3000) // more than the kernel buffers in a few messages
	machine.Churn = 0
	l.series = machine.Series(snapshot.TimeOf(time.Now().Add(-time.Hour)), 60, time.Second, 60).Snapshots
	l.write(t, "big", 0, 1)
	s := l.dial(t)
	s.say(`{"action":"subscribe","machine_id":"big"}`)
	s.want("subscribed")
	for i := 1; i < 60 && metricstest.Value(t, l.registry, "snapwatch_live_sockets") == 1; i++ {
		l.write(t, "big", i, i+1)
	}
	for deadline := time.Now().Add(20 * time.Second); metricstest.Value(t, l.registry, "snapwatch_live_sockets") != 0 || metricstest.Value(t, l.registry, "snapwatch_live_machines") != 0; {
		if time.Now().After(deadline) {
			t.Fatal("the socket of a dead client is still open")
		}
	}
}
