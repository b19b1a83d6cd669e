package snapshot

import (
	"cmp"
	"slices"
	"sort"
)

// Node is a process with its children in the process tree.
type Node struct {
	Process
	Children []*Node `json:"children,omitempty" nullable:"false" doc:"Child processes"`
}

// MaxTreeDepth is the maximum depth of a tree. Deeper processes become siblings at that depth, because JSON
// parsers limit nesting.
const MaxTreeDepth = 500

// Tree nests processes under their parents and returns the roots in the order of the list. Every process appears
// exactly once:
//   - A process whose parent is not in the list, or is the process itself, is a root.
//   - If parents form a cycle, which happens in inconsistent data, the first process of the cycle in the list
//     becomes a root.
//   - If several processes have the parent's pid, the parent is the newest of them that started no later than the
//     child. If all of them started later, it is the oldest.
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

// Prune removes all processes with one of the names. Their children take their places.
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

// parentIndexes returns the index of each process's parent, or -1.
func parentIndexes(processes []Process) []int {
	byPID := make(map[int32][]int, len(processes))
	for i := range processes {
		byPID[processes[i].PID] = append(byPID[processes[i].PID], i)
	}
	for _, same := range byPID {
		slices.SortStableFunc(same, func(a, b int) int {
			return cmp.Compare(processes[a].StartedAt, processes[b].StartedAt)
		})
	}
	parents := make([]int, len(processes))
	for i := range processes {
		process := &processes[i]
		candidates := byPID[process.PPID]
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

// cutCycles makes the first process of each cycle a root.
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

// flatten limits the depth of a forest to MaxTreeDepth.
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

// descendants returns all descendants of a node, parents first, and removes their children.
func descendants(node *Node) []*Node {
	list := slices.Clone(node.Children)
	for i := 0; i < len(list); i++ {
		list = append(list, list[i].Children...)
		list[i].Children = nil
	}
	return list
}
