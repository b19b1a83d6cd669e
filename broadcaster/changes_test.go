package broadcaster_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/snapwatch/snapwatch/broadcaster"
	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// replica replays the changes that a socket receives, as the web page does.
type replica struct {
	*socket
	replay snapshot.Replay
	at     snapshot.Time // of the newest snapshot received
	fulls  int           // full lists received
	ended  *snapshot.EndedProcesses
}

// subscribe subscribes to a machine's changes and waits for the confirmation.
func (r *replica) subscribe(machineID string, since snapshot.Time) {
	r.t.Helper()
	if since == 0 {
		r.send(`{"action":"subscribe","machine_id":"%s","changes":true}`, machineID)
	} else {
		r.send(`{"action":"subscribe","machine_id":"%s","changes":true,"since":"%s"}`, machineID, since)
	}
	r.expect("subscribed")
}

// receiveNext applies the next message that is newer than the replica's state.
func (r *replica) receiveNext() {
	r.t.Helper()
	for {
		content := r.expect("changes_message").Message
		if content.Timestamp <= r.at {
			continue
		}
		if content.Kind == snapshot.KindFull {
			r.fulls++
		} else if content.Previous != r.at {
			r.t.Fatalf("received changes since %s, but the replica is at %s", content.Previous, r.at)
		}
		err := r.replay.Apply(&snapshot.Snapshot{
			Timestamp:  content.Timestamp,
			Kind:       content.Kind,
			IntervalMS: content.IntervalMS,
			Processes:  content.Processes,
			Exited:     content.Exited,
		})
		if err != nil {
			r.t.Fatal(err)
		}
		r.at, r.ended = content.Timestamp, content.Ended
		return
	}
}

// compareWithStore fails the test if the replica differs from the stored process list of the same instant.
func (r *replica) compareWithStore(l *live, machineID string) {
	r.t.Helper()
	state, err := l.source.At(context.Background(), machineID, r.at, true)
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := snapshottest.Diff(r.replay.Processes(), state.Processes); diff != "" {
		r.t.Fatalf("at %s: %s", r.at, diff)
	}
	if r.ended == nil || !reflect.DeepEqual(r.ended, state.Ended) {
		r.t.Fatalf("at %s: %+v ended, want %+v", r.at, r.ended, state.Ended)
	}
}

// Replayed changes equal the stored process list at every instant, also while other clients receive trees.
func TestReplayedChangesEqualTheStore(t *testing.T) {
	t.Parallel()
	l := start(t, broadcaster.Config{})
	trees := l.subscribe(t, "m")
	trees.expectSnapshot(l.series[0].Timestamp)
	l.write(t, "m", 1, 2)
	trees.expectSnapshot(l.series[1].Timestamp)

	r := replica{socket: l.dial(t)}
	r.subscribe("m", 0)
	r.receiveNext()
	r.compareWithStore(l, "m")
	for i := 2; i < 60; i++ {
		l.write(t, "m", i, i+1)
		r.receiveNext()
		r.compareWithStore(l, "m")
		trees.expectSnapshot(l.series[i].Timestamp)
	}
	if r.fulls != 1 {
		t.Errorf("received %d full lists, want 1", r.fulls)
	}
	// A client that subscribes with the newest snapshot continues from it. One that has an older snapshot
	// receives a full list.
	current, behind := replica{socket: l.dial(t), replay: r.replay, at: r.at}, replica{socket: l.dial(t)}
	current.subscribe("m", r.at)
	behind.subscribe("m", l.series[3].Timestamp)
	behind.receiveNext()
	l.write(t, "m", 60, 61)
	current.receiveNext()
	behind.receiveNext()
	current.compareWithStore(l, "m")
	behind.compareWithStore(l, "m")
	if current.fulls != 0 || behind.fulls != 1 {
		t.Errorf("full lists: %d and %d, want 0 and 1", current.fulls, behind.fulls)
	}
}
