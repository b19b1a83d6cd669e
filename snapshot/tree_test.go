package snapshot_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/snapwatch/snapwatch/snapshot"
)

func process(pid, ppid int32, started snapshot.Time) snapshot.Process {
	return snapshot.Process{ProcessKey: snapshot.ProcessKey{PID: pid, StartedAt: started}, Identity: snapshot.Identity{PPID: ppid, Name: fmt.Sprintf("p%d", pid)}}
}

// render writes a forest as 1(2(3) 4).
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

func TestTree(t *testing.T) {
	for name, test := range map[string]struct {
		processes []snapshot.Process
		exclude   []string
		want      string
	}{
		"empty":                 {nil, nil, ""},
		"nested":                {[]snapshot.Process{process(1, 0, 0), process(2, 1, 0), process(3, 2, 0), process(4, 1, 0)}, nil, "1(2(3) 4)"},
		"children before":       {[]snapshot.Process{process(3, 2, 0), process(2, 1, 0), process(1, 0, 0)}, nil, "1(2(3))"},
		"orphan":                {[]snapshot.Process{process(1, 0, 0), process(9, 77, 0)}, nil, "1 9"},
		"pid 0 listed":          {[]snapshot.Process{process(0, 0, 0), process(4, 0, 0)}, nil, "0(4)"},
		"own parent":            {[]snapshot.Process{process(5, 5, 0), process(6, 5, 0)}, nil, "5(6)"},
		"cycle of two":          {[]snapshot.Process{process(2, 3, 0), process(3, 2, 0)}, nil, "2(3)"},
		"cycle with a tail":     {[]snapshot.Process{process(9, 4, 0), process(4, 5, 0), process(5, 4, 0)}, nil, "4(9 5)"},
		"reused pid":            {[]snapshot.Process{process(2, 1, 10), process(2, 1, 50), process(7, 2, 20), process(8, 2, 60)}, nil, "2(7) 2(8)"},
		"exclude hoists":        {[]snapshot.Process{process(1, 0, 0), process(2, 1, 0), process(3, 2, 0)}, []string{"p2"}, "1(3)"},
		"exclude root and leaf": {[]snapshot.Process{process(1, 0, 0), process(2, 1, 0), process(3, 2, 0)}, []string{"p1", "p3"}, "2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := render(snapshot.Prune(snapshot.Tree(test.processes), test.exclude)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTreeHoldsEveryProcessOnce(t *testing.T) {
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

func TestTreeDepthIsBounded(t *testing.T) {
	list := make([]snapshot.Process, 20_000)
	for i := range list {
		list[i] = process(int32(i+1), int32(i), 0)
	}
	count, deepest := 0, 0
	var walk func([]*snapshot.Node, int)
	walk = func(nodes []*snapshot.Node, depth int) {
		for _, node := range nodes {
			count++
			deepest = max(deepest, depth)
			walk(node.Children, depth+1)
		}
	}
	walk(snapshot.Tree(list), 1)
	if count != len(list) || deepest != snapshot.MaxTreeDepth {
		t.Fatalf("%d processes, %d levels; want %d, %d", count, deepest, len(list), snapshot.MaxTreeDepth)
	}
}
