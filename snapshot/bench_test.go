package snapshot_test

import (
	"testing"
	"time"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// benchBody returns a post with one full snapshot of 300 processes.
func benchBody(b *testing.B) []byte {
	series := snapshottest.NewMachine(1, 300).Series(1_780_000_000_000, 2, 5*time.Second, 1)
	body, err := snapshot.EncodeBatch(&snapshot.Batch{MachineID: "m", Snapshots: series.Snapshots[1:]})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func BenchmarkTree(b *testing.B) {
	processes := snapshottest.NewMachine(1, 300).Step(1)
	for b.Loop() {
		snapshot.Tree(processes)
	}
}
