package snapshot_test

import (
	"testing"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// FuzzReplay checks that replay either applies a valid snapshot or leaves the list unchanged, and that the
// list is the same after it is encoded as changes and replayed.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(goodBody))
	f.Add([]byte(`{"machine_id":"m","snapshots":[
		{"timestamp":"2026-11-23T03:12:00Z","interval_ms":5000,"processes":[
			{"pid":1,"ppid":0,"name":"a","cpu_ms":10},
			{"pid":2,"started_at":"2026-11-23T03:00:00Z","ppid":1,"name":"b"}]},
		{"timestamp":"2026-11-23T03:12:05Z","kind":"changes","processes":[
			{"pid":1,"memory_usage":5},{"pid":3,"ppid":1,"name":"c"}],
			"exited":[{"pid":2,"started_at":"2026-11-23T03:00:00Z"}]},
		{"timestamp":"2026-11-23T03:12:10Z","kind":"changes","processes":[{"pid":2}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := snapshot.DecodeBatch(body)
		if err != nil {
			return
		}
		var replay, replayOfEncoded snapshot.Replay
		var encoder snapshot.Encoder
		for i := range batch.Snapshots {
			s := &batch.Snapshots[i]
			before := replay.Processes()
			if err := replay.Apply(s); err != nil {
				if diff := snapshottest.Diff(replay.Processes(), before); diff != "" {
					t.Fatalf("a rejected snapshot changed the list: %s", diff)
				}
				continue
			}
			list := replay.Processes()
			next := snapshot.Snapshot{Timestamp: s.Timestamp, Kind: snapshot.KindChanges, IntervalMS: s.IntervalMS}
			if i == 0 {
				next.Kind, next.Processes = snapshot.KindFull, encoder.Full(list)
			} else {
				next.Processes, next.Exited = encoder.Changes(list)
			}
			if err := replayOfEncoded.Apply(&next); err != nil {
				t.Fatalf("an encoded snapshot is rejected: %v", err)
			}
			for k := range list { // snapshots have no CPU usage
				list[k].CPUUsage = nil
			}
			replayed := replayOfEncoded.Processes()
			for k := range replayed {
				replayed[k].CPUUsage = nil
			}
			if diff := snapshottest.Diff(replayed, list); diff != "" {
				t.Fatalf("snapshot %d: %s", i, diff)
			}
		}
	})
}
