package snapshot_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/snapwatch/snapwatch/snapshot"
	"github.com/snapwatch/snapwatch/snapshot/snapshottest"
)

// readCases reads a file of testdata/cases. The tests of the web interface (ui/src/processes) read the same
// files, so that the server and the browser compute the same.
func readCases[T any](t *testing.T, name string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "cases", name))
	if err != nil {
		t.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s has no cases", name)
	}
	return cases
}

// treeCase is a process list with its tree in the form that render writes. If Chain is set, the list is a chain
// of that many processes, and Levels is the depth of its tree.
type treeCase struct {
	Name      string             `json:"name"`
	Processes []snapshot.Process `json:"processes"`
	Exclude   []string           `json:"exclude"`
	Want      string             `json:"want"`
	Chain     int                `json:"chain"`
	Levels    int                `json:"levels"`
}

func TestTree(t *testing.T) {
	for _, test := range readCases[treeCase](t, "tree.json") {
		t.Run(test.Name, func(t *testing.T) {
			for i := range test.Chain {
				test.Processes = append(test.Processes, process(int32(i+1), int32(i), 0))
			}
			for i := range test.Processes {
				test.Processes[i].Name = fmt.Sprintf("p%d", test.Processes[i].PID)
			}
			tree := snapshot.Prune(snapshot.Tree(test.Processes), test.Exclude)
			if test.Chain > 0 {
				if count, deepest := measure(tree); count != test.Chain || deepest != test.Levels {
					t.Errorf("%d processes in %d levels, want %d in %d", count, deepest, test.Chain, test.Levels)
				}
				return
			}
			if got := render(tree); got != test.Want {
				t.Errorf("got %s, want %s", got, test.Want)
			}
		})
	}
}

// measure returns the number of processes in a forest and its depth.
func measure(level []*snapshot.Node) (count, deepest int) {
	for ; len(level) > 0; deepest++ {
		count += len(level)
		var next []*snapshot.Node
		for _, node := range level {
			next = append(next, node.Children...)
		}
		level = next
	}
	return count, deepest
}

type diffCase struct {
	Name   string                          `json:"name"`
	Before []snapshot.Process              `json:"before"`
	After  []snapshot.Process              `json:"after"`
	By     string                          `json:"by"`
	Want   map[snapshot.ChangeKind][]int32 `json:"want"`
}

func TestCompare(t *testing.T) {
	for _, test := range readCases[diffCase](t, "diff.json") {
		t.Run(test.Name, func(t *testing.T) {
			difference := func(c snapshot.ProcessChange) int64 {
				if test.By == "threads" {
					return int64(c.ThreadsChange())
				}
				return c.MemoryChange()
			}
			size := func(c snapshot.ProcessChange) int64 { return max(difference(c), -difference(c)) }
			pid := func(c snapshot.ProcessChange) int32 {
				if c.Before != nil {
					return c.Before.PID
				}
				return c.After.PID
			}
			changes := snapshot.CompareProcesses(test.Before, test.After)
			slices.SortFunc(changes, func(a, b snapshot.ProcessChange) int {
				return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(pid(a), pid(b)))
			})
			got := map[snapshot.ChangeKind][]int32{}
			for _, change := range changes {
				if kind := change.Kind(difference(change)); kind != "" {
					got[kind] = append(got[kind], pid(change))
				}
				if change.IdentityChanged() {
					got["changed"] = append(got["changed"], pid(change))
				}
			}
			if !maps.EqualFunc(got, test.Want, slices.Equal) {
				t.Errorf("got %v, want %v", got, test.Want)
			}
		})
	}
	if kind := (snapshot.ProcessChange{}).Kind(5); kind != snapshot.ChangeShortLived {
		t.Errorf("a process in neither list is %q", kind)
	}
}

// replayCase is a series of snapshots as agents and the live view send them, with the process list at each
// instant.
type replayCase struct {
	Name      string               `json:"name"`
	Snapshots []snapshot.Snapshot  `json:"snapshots"`
	Want      [][]snapshot.Process `json:"want"`
}

func TestReplayCases(t *testing.T) {
	const file = "replay.json"
	if *update {
		writeReplayCases(t, file)
	}
	for _, test := range readCases[replayCase](t, file) {
		var replay snapshot.Replay
		for i := range test.Snapshots {
			if err := replay.Apply(&test.Snapshots[i]); err != nil {
				t.Fatalf("%s: %v", test.Name, err)
			}
			if diff := snapshottest.Diff(replay.Processes(), test.Want[i]); diff != "" {
				t.Fatalf("%s, instant %d: %s", test.Name, i, diff)
			}
		}
	}
}

func writeReplayCases(t *testing.T, file string) {
	t.Helper()
	cases := []replayCase{}
	for i, test := range []struct {
		name        string
		churn, busy float64
		fullEvery   int
	}{
		{"births and deaths", 0.4, 0.3, 8},
		{"everything busy", 0, 1, 8},
		{"everything idle", 0, 0, 8},
		{"full ones alone", 0.2, 0.5, 1},
	} {
		machine := snapshottest.NewMachine(uint64(i+7), 6)
		machine.Churn, machine.Busy, machine.ReportEnded = test.churn, test.busy, true
		series := machine.Series(1_780_000_000_000, 8, time.Second, test.fullEvery)
		one := replayCase{Name: test.name}
		for k := range series.Snapshots {
			s := series.Snapshots[k]
			s.IntervalMS, s.Machine = 1000, snapshot.MachineSnapshot{}
			state := snapshot.State{IntervalMS: 1000, Processes: series.Expected[k]}
			state.DeriveCPUUsage()
			slices.SortFunc(state.Processes, func(a, b snapshot.Process) int {
				return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
			})
			one.Snapshots = append(one.Snapshots, s)
			one.Want = append(one.Want, state.Processes)
		}
		cases = append(cases, one)
	}
	data, err := json.Marshal(cases, jsontext.Multiline(false))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", "cases", file), append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
