package query

import (
	"os"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
	"github.com/snapwatch/snapwatch/store/schema"
)

// TestReplayCases replays the cases that the tests of the snapshot package and of the web interface read, so that all
// three compute the same. The rows are those that the writer stores for the snapshots of a case.
func TestReplayCases(t *testing.T) {
	data, err := os.ReadFile("../../snapshot/testdata/cases/replay.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name      string               `json:"name"`
		Snapshots []snapshot.Snapshot  `json:"snapshots"`
		Want      [][]snapshot.Process `json:"want"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("there are no cases")
	}
	for _, test := range cases {
		instants, samples, identities := storedRows(test.Snapshots)
		lists, _ := replay(instants, samples, identities, 0, 0)
		for i, got := range lists {
			if diff := snapshottest.Diff(got, test.Want[i]); diff != "" {
				t.Fatalf("%s, instant %d: %s", test.Name, i, diff)
			}
		}
	}
}

// storedRows returns the rows that the database has after the snapshots. Each identity gets a row of its own, also that
// of a process that calls exec.
func storedRows(snapshots []snapshot.Snapshot) ([]instant, []sample, map[int64]identityRow) {
	var instants []instant
	var samples []sample
	identities := make(map[int64]identityRow)
	latest := make(map[snapshot.ProcessKey]int64)
	var fullTS snapshot.Time
	for i := range snapshots {
		s := &snapshots[i]
		if s.Kind != snapshot.KindChanges {
			fullTS = s.Timestamp
		}
		instants = append(instants, instant{ts: s.Timestamp, fullTS: fullTS, intervalMS: s.IntervalMS})
		for _, key := range s.Exited {
			values := snapshot.Values{State: schema.StateExited}
			samples = append(samples, sample{ts: s.Timestamp, process: latest[key], values: values})
		}
		for k := range s.Processes {
			p := &s.Processes[k]
			if p.HasIdentity() {
				id := int64(len(identities) + 1)
				identities[id], latest[p.Key()] = identityRow{p.Key(), p.Identity()}, id
			}
			samples = append(samples, sample{s.Timestamp, latest[p.Key()], p.Values(s.IntervalMS)})
		}
	}
	return instants, samples, identities
}
