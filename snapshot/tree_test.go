package snapshot_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
)

func process(pid, ppid int32, started snapshot.Time) snapshot.Process {
	return snapshot.Process{
		ProcessKey: snapshot.ProcessKey{PID: pid, StartedAt: started},
		Identity:   snapshot.Identity{PPID: ppid, Name: fmt.Sprintf("p%d", pid)},
	}
}

// render returns a forest as text, for example 1(2(3) 4).
func render(forest []*snapshot.Node) string {
	parts := make([]string, len(forest))
	for i, node := range forest {
		parts[i] = fmt.Sprint(node.PID)
		if len(node.Children) > 0 {
			parts[i] += "(" + render(node.Children) + ")"
		}
	}
	return strings.Join(parts, " ")
}

func TestTreeContainsEveryProcessOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "n")
		list := make([]snapshot.Process, n)
		for i := range list {
			pid := rapid.Int32Range(0, 20)
			list[i] = process(pid.Draw(t, "pid"), pid.Draw(t, "ppid"), snapshot.Time(i))
		}
		seen := map[*snapshot.Node]bool{}
		var walk func([]*snapshot.Node)
		walk = func(nodes []*snapshot.Node) {
			for _, node := range nodes {
				if seen[node] {
					t.Fatal("a process appears twice")
				}
				seen[node] = true
				walk(node.Children)
			}
		}
		walk(snapshot.Tree(list))
		if len(seen) != n {
			t.Fatalf("%d of %d processes in the tree", len(seen), n)
		}
	})
}
