package snapshottest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/snapwatch/snapwatch/snapshot"
)

// Diff compares two process lists by value, in any order. It describes the first difference, or returns "" if
// there is none.
func Diff(got, want []snapshot.Process) string {
	got, want = sorted(got), sorted(want)
	if len(got) != len(want) {
		return fmt.Sprintf("%d processes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].ProcessKey != want[i].ProcessKey || got[i].Identity != want[i].Identity ||
			!got[i].Values.Equal(want[i].Values) {
			return fmt.Sprintf("got %s\nwant %s", describe(got[i]), describe(want[i]))
		}
	}
	return ""
}

func sorted(list []snapshot.Process) []snapshot.Process {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b snapshot.Process) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartedAt, b.StartedAt))
	})
	return list
}

func describe(p snapshot.Process) string {
	text, err := json.Marshal(p)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
