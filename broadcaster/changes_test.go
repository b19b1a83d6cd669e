package broadcaster_test

import (
	"context"
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/internal/metricstest"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// follower replays what a socket is sent, as the page does.
type follower struct {
	*socket
	replay snapshot.Replay
	at     snapshot.Time
	fulls  int
}

// next takes in the next message that brings something new.
func (f *follower) next() {
	f.t.Helper()
	for {
		message := f.want("changes_message").Message
		if message.Timestamp <= f.at {
			continue
		}
		if message.Kind == snapshot.KindFull {
			f.fulls++
		} else if message.Previous != f.at {
			f.t.Fatalf("changes since %s, to one who has %s", message.Previous, f.at)
		}
		if err := f.replay.Apply(&snapshot.Snapshot{Timestamp: message.Timestamp, Kind: message.Kind, IntervalMS: message.IntervalMS, Processes: message.Processes, Exited: message.Exited}); err != nil {
			f.t.Fatal(err)
		}
		f.at = message.Timestamp
		return
	}
}

// truth compares what was replayed with what is stored of the instant.
func (f *follower) truth(l *live, machineID string) {
	f.t.Helper()
	state, err := l.source.At(context.Background(), machineID, f.at, true)
	if err != nil {
		f.t.Fatal(err)
	}
	if diff := snapshottest.Diff(f.replay.Processes(), state.Processes); diff != "" {
		f.t.Fatalf("at %s: %s", f.at, diff)
	}
}

// Changes, replayed, are what is stored at every instant; and beside those who get
// changes others get trees.
func TestChangesLeadToEveryState(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	trees := l.dial(t)
	trees.say(`{"action":"subscribe","machine_id":"m"}`)
	trees.want("subscribed")
	trees.wantSnapshot(l.series[0].Timestamp)
	l.write(t, "m", 1, 2)
	trees.wantSnapshot(l.series[1].Timestamp)

	f := follower{socket: l.dial(t)}
	f.say(`{"action":"subscribe","machine_id":"m","changes":true}`)
	f.want("subscribed")
	f.next()
	f.truth(l, "m")
	for i := 2; i < 60; i++ {
		l.write(t, "m", i, i+1)
		f.next()
		f.truth(l, "m")
		trees.wantSnapshot(l.series[i].Timestamp)
	}
	if f.fulls != 1 {
		t.Errorf("%d full lists were sent, want 1", f.fulls)
	}
	// One that comes back with what it has goes on from there; one that has something
	// else begins anew.
	same, behind := follower{socket: l.dial(t), replay: f.replay, at: f.at}, follower{socket: l.dial(t)}
	same.say(`{"action":"subscribe","machine_id":"m","changes":true,"since":"%s"}`, f.at)
	same.want("subscribed")
	behind.say(`{"action":"subscribe","machine_id":"m","changes":true,"since":"%s"}`, l.series[3].Timestamp)
	behind.want("subscribed")
	behind.next()
	l.write(t, "m", 60, 61)
	same.next()
	behind.next()
	same.truth(l, "m")
	behind.truth(l, "m")
	if same.fulls != 0 || behind.fulls != 1 {
		t.Errorf("full lists: %d and %d, want 0 and 1", same.fulls, behind.fulls)
	}
}

// Changes that a slow client has not read are dropped; what follows them is all of
// the newest, so that it never applies changes to what they do not continue.
func TestSlowFollowerBeginsAnew(t *testing.T) {
	t.Parallel()
	// Enough to fill the kernel's buffers, and soon enough: who reads nothing for a minute
	// answers no ping, and is cut off.
	const rounds = 30
	l := start(t, broadcaster.Config{MaxQueuedBytes: 1 << 20, WriteTimeout: 5 * time.Minute})
	machine := snapshottest.NewMachine(4, 3000)
	machine.Churn, machine.Busy = 0, 1 // changes as large as everything
	l.series = machine.Series(snapshot.TimeOf(time.Now().Add(-time.Hour)), rounds, time.Second, 40).Snapshots
	l.write(t, "big", 0, 1)
	slow, fast := follower{socket: l.dial(t)}, follower{socket: l.dial(t)}
	for _, f := range []*follower{&slow, &fast} {
		f.say(`{"action":"subscribe","machine_id":"big","changes":true}`)
		f.want("subscribed")
		f.next()
	}
	for i := 1; i < rounds; i++ {
		l.write(t, "big", i, i+1)
		fast.next()
	}
	heard := 0
	for ; slow.at < l.series[rounds-1].Timestamp; heard++ {
		slow.next()
	}
	slow.truth(l, "big")
	if heard == rounds-1 || slow.fulls < 2 {
		t.Errorf("%d heard, %d full lists: nothing was dropped, or this test has too little data", heard, slow.fulls)
	}
	if counted := metricstest.Value(t, l.registry, "snapwatch_live_skipped_total"); counted == 0 {
		t.Error("what was skipped is not counted")
	}
}
