package snapshottest

import (
	"cmp"
	"fmt"
	"slices"

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
	return fmt.Sprintf(
		"%v %+v state=%s cpu=%s rss=%s threads=%s read=%s write=%s files=%s",
		p.ProcessKey, p.Identity, p.State, format(p.CPUMS), format(p.MemoryUsage), format(p.Threads),
		format(p.ReadBytes), format(p.WriteBytes), format(p.OpenFiles),
	)
}

func format[T any](p *T) string {
	if p == nil {
		return "?"
	}
	return fmt.Sprint(*p)
}
