package snapshot

import (
	"cmp"
	"slices"
	"sort"
)

// Node is a process with the processes it started that are still alive.
type Node struct {
	Process
	Children []*Node `json:"children,omitempty" nullable:"false" doc:"Processes that this one started"`
}

// MaxTreeDepth bounds how deep Tree nests; what would be deeper becomes a
// sibling at that depth, so that every JSON reader can take the answer.
const MaxTreeDepth = 500

// Tree nests processes under their parents and returns the roots, in the order
// given. Every process appears exactly once:
//   - one whose parent is not in the list or is itself is a root;
//   - where parents form a cycle (possible in made-up or torn data), the first
//     process of the cycle in list order becomes a root;
//   - where a pid is listed twice, children go under its youngest life that is
//     not younger than they are.
func Tree(processes []Process) []*Node {
	parents := parentIndexes(processes)
	cutCycles(parents)
	nodes := make([]Node, len(processes))
	roots := make([]*Node, 0, 8)
	for i := range nodes {
		nodes[i].Process = processes[i]
	}
	for i, parent := range parents {
		if parent < 0 {
			roots = append(roots, &nodes[i])
		} else {
			nodes[parent].Children = append(nodes[parent].Children, &nodes[i])
		}
	}
	flatten(roots)
	return roots
}

// Prune removes the processes with one of the given names from a forest; their
// children take their place, so that nothing else disappears.
func Prune(forest []*Node, names []string) []*Node {
	if len(names) == 0 {
		return forest
	}
	kept := make([]*Node, 0, len(forest))
	for _, node := range forest {
		children := Prune(node.Children, names)
		if slices.Contains(names, node.Name) {
			kept = append(kept, children...)
			continue
		}
		node.Children = children
		kept = append(kept, node)
	}
	return kept
}

// parentIndexes returns for each process the index of its parent, -1 for none.
func parentIndexes(processes []Process) []int {
	lives := make(map[int32][]int, len(processes))
	for i := range processes {
		lives[processes[i].PID] = append(lives[processes[i].PID], i)
	}
	for _, same := range lives {
		slices.SortStableFunc(same, func(a, b int) int {
			return cmp.Compare(processes[a].StartedAt, processes[b].StartedAt)
		})
	}
	parents := make([]int, len(processes))
	for i := range processes {
		process := &processes[i]
		candidates := lives[process.PPID]
		if process.PPID == process.PID || len(candidates) == 0 {
			parents[i] = -1
			continue
		}
		younger := sort.Search(len(candidates), func(k int) bool {
			return processes[candidates[k]].StartedAt > process.StartedAt
		})
		parents[i] = candidates[max(younger-1, 0)]
	}
	return parents
}

// cutCycles makes the first member of each cycle a root, so that walking up ends.
func cutCycles(parents []int) {
	const unseen, walking, done = 0, 1, 2
	marks := make([]int8, len(parents))
	var path []int
	for start := range parents {
		path = path[:0]
		i := start
		for i >= 0 && marks[i] == unseen {
			marks[i] = walking
			path = append(path, i)
			i = parents[i]
		}
		if i >= 0 && marks[i] == walking {
			parents[slices.Min(path[slices.Index(path, i):])] = -1
		}
		for _, walked := range path {
			marks[walked] = done
		}
	}
}

// flatten keeps the forest within MaxTreeDepth, level by level.
func flatten(level []*Node) {
	for depth := 1; len(level) > 0; depth++ {
		var next []*Node
		for _, node := range level {
			if depth == MaxTreeDepth-1 {
				node.Children = descendants(node)
			}
			next = append(next, node.Children...)
		}
		if depth == MaxTreeDepth-1 {
			return
		}
		level = next
	}
}

// descendants lists all below node, parents first, and takes their children away.
func descendants(node *Node) []*Node {
	list := slices.Clone(node.Children)
	for i := 0; i < len(list); i++ {
		list = append(list, list[i].Children...)
		list[i].Children = nil
	}
	return list
}
