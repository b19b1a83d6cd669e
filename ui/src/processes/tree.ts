// Nests processes under their parents: what snapshot/tree.go does on the server,
// tested with the same cases.
import { type Process, compareStrings } from "./process";

export interface Node {
  process: Process;
  children: Node[];
}

/** How deep a tree nests; what would be deeper is a sibling there. */
export const maxDepth = 500;

/** The roots, in the order given; every process appears once. */
export function tree(processes: readonly Process[]): Node[] {
  const nodes = processes.map((process): Node => ({ process, children: [] }));
  const parents = parentIndexes(processes);
  cutCycles(parents);
  const roots: Node[] = [];
  parents.forEach((parent, i) => (nodes[parent]?.children ?? roots).push(nodes[i]!));
  flatten(roots);
  return roots;
}

/** Leaves out the processes that are not wanted; their children take their place. */
export function prune(forest: Node[], keep: (process: Process) => boolean): Node[] {
  return forest.flatMap((node) => {
    const children = prune(node.children, keep);
    return keep(node.process) ? [{ process: node.process, children }] : children;
  });
}

/** Of each process the index of its parent, -1 for none. Where a pid is listed twice, its youngest life that is not younger than the child. */
function parentIndexes(processes: readonly Process[]): number[] {
  const started = (i: number) => processes[i]?.started_at ?? "";
  const lives = new Map<number, number[]>();
  processes.forEach(({ pid }, i) => {
    const same = lives.get(pid);
    if (same) same.push(i);
    else lives.set(pid, [i]);
  });
  for (const same of lives.values()) if (same.length > 1) same.sort((a, b) => compareStrings(started(a), started(b)));
  return processes.map((process, i) => {
    const candidates = lives.get(process.ppid);
    if (process.ppid === process.pid || !candidates) return -1;
    const elder = candidates.findLast((k) => started(k) <= started(i));
    return elder ?? candidates[0] ?? -1;
  });
}

/** Makes the first process of each cycle a root. */
function cutCycles(parents: number[]): void {
  const marks = new Uint32Array(parents.length); // the walk on which it was first seen
  for (let start = 0; start < parents.length; start++) {
    let i = start;
    while (i >= 0 && marks[i] === 0) {
      marks[i] = start + 1;
      i = parents[i]!;
    }
    if (i < 0 || marks[i] !== start + 1) continue;
    let first = i;
    for (let k = parents[i]!; k !== i; k = parents[k]!) first = Math.min(first, k);
    parents[first] = -1;
  }
}

function flatten(roots: Node[]): void {
  let level = roots;
  for (let depth = 1; level.length > 0; depth++) {
    if (depth === maxDepth - 1) {
      for (const node of level) node.children = descendants(node);
      return;
    }
    level = level.flatMap((node) => node.children);
  }
}

function descendants(node: Node): Node[] {
  const list = [...node.children];
  for (const one of list) {
    list.push(...one.children); // the loop comes to them too
    one.children = [];
  }
  return list;
}
