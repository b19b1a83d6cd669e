package broadcaster_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/metricstest"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

const (
	// slowRounds snapshots of a machine with slowProcesses processes are at least 700 kB, as changes. That is more than
	// the queue and the kernel's buffers of both sides together.
	slowRounds     = 30
	slowProcesses  = 200
	slowQueueBytes = 128 << 10
)

// A client that does not read has a bounded queue and does not slow down others. When it reads again, it
// receives the newest snapshot.
func TestSlowClientReceivesTheNewestSnapshot(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxQueuedBytes: slowQueueBytes})
	machine := snapshottest.NewMachine(2, slowProcesses)
	machine.Churn = 0
	l.series = series(machine, slowRounds, slowRounds)
	l.write(t, "big", 0, 1)
	slow, fast := l.subscribe(t, "big"), l.subscribe(t, "big")
	slow.expectSnapshot(l.series[0].Timestamp)
	fast.expectSnapshot(l.series[0].Timestamp)
	for i := 1; i < slowRounds; i++ {
		l.write(t, "big", i, i+1)
		fast.expectSnapshot(l.series[i].Timestamp)
	}
	last, received := l.series[0].Timestamp, 0
	for newest := l.series[slowRounds-1].Timestamp; last < newest; received++ {
		content := slow.expect("snapshot_message").Message
		if content.Timestamp <= last {
			t.Fatalf("received the snapshot of %s after %s", content.Timestamp, last)
		}
		last = content.Timestamp
	}
	if received == slowRounds-1 {
		t.Error("no snapshot was dropped: the queue is not bounded, or this test has too little data")
	}
	skipped := metricstest.Value(t, l.registry, "snapwatch_live_skipped_total")
	if want := slowRounds - 1 - received; skipped != float64(want) {
		t.Errorf("the metric counts %v skipped snapshots, want %d", skipped, want)
	}
}

// Changes that a slow client has not read may be dropped. The next message is then a full list, so that the
// client never applies changes to a state that they do not continue.
func TestSlowClientReceivesAFullListAfterDroppedChanges(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{MaxQueuedBytes: slowQueueBytes})
	machine := snapshottest.NewMachine(4, slowProcesses)
	machine.Churn, machine.Busy = 0, 1 // every process changes in every snapshot
	l.series = series(machine, slowRounds, slowRounds)
	l.write(t, "big", 0, 1)
	slow, fast := replica{socket: l.dial(t)}, replica{socket: l.dial(t)}
	for _, r := range []*replica{&slow, &fast} {
		r.subscribe("big", 0)
		r.receiveNext()
	}
	for i := 1; i < slowRounds; i++ {
		l.write(t, "big", i, i+1)
		fast.receiveNext()
	}
	received := 0
	for ; slow.at < l.series[slowRounds-1].Timestamp; received++ {
		slow.receiveNext()
	}
	slow.compareWithStore(l, "big")
	if received == slowRounds-1 || slow.fulls < 2 {
		t.Errorf(
			"received %d messages and %d full lists: nothing was dropped, or this test has too little data",
			received, slow.fulls,
		)
	}
	if metricstest.Value(t, l.registry, "snapwatch_live_skipped_total") == 0 {
		t.Error("the metric does not count skipped snapshots")
	}
}

// A client that reads nothing at all is disconnected, and its topic ends.
func TestUnresponsiveClientIsClosed(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{WriteTimeout: 100 * time.Millisecond})
	l.series = series(snapshottest.NewMachine(3, 5*slowProcesses), 1, 1)
	l.write(t, "big", 0, 1)
	l.dial(t).send(`{"action":"subscribe","machine_id":"big"}`)
	l.waitForMetric(t, "snapwatch_live_sockets", 0)
	l.waitForMetric(t, "snapwatch_live_machines", 0)
}
