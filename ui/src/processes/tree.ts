// Nests processes under their parents, like snapshot/tree.go on the server. Both run the same test cases.
import { type Process, compareStrings } from "./process";

export interface Node {
  process: Process;
  children: Node[];
}

/** The maximum depth of a tree. Deeper processes become siblings at this depth. */
export const maxDepth = 500;

/** Returns the roots in the given order. Every process appears once. */
export function tree(processes: readonly Process[]): Node[] {
  const nodes = processes.map((process): Node => ({ process, children: [] }));
  const parents = parentIndexes(processes);
  cutCycles(parents);
  const roots: Node[] = [];
  nodes.forEach((node, i) => (nodes[parents[i] ?? -1]?.children ?? roots).push(node));
  flatten(roots);
  return roots;
}

/** Removes the processes that do not satisfy keep. Their children take their place. */
export function prune(forest: Node[], keep: (process: Process) => boolean): Node[] {
  return forest.flatMap((node) => {
    const children = prune(node.children, keep);
    return keep(node.process) ? [{ process: node.process, children }] : children;
  });
}

/**
 * Returns the index of each process's parent, or -1. If the parent's pid was reused,
 * the parent is the newest process with this pid that started no later than the child.
 */
function parentIndexes(processes: readonly Process[]): number[] {
  const started = (i: number) => processes[i]?.started_at ?? "";
  const byPid = new Map<number, number[]>();
  processes.forEach(({ pid }, i) => {
    const same = byPid.get(pid);
    if (same) same.push(i);
    else byPid.set(pid, [i]);
  });
  for (const same of byPid.values()) if (same.length > 1) same.sort((a, b) => compareStrings(started(a), started(b)));
  return processes.map((process, i) => {
    const candidates = byPid.get(process.ppid);
    if (process.ppid === process.pid || !candidates) return -1;
    const older = candidates.findLast((k) => started(k) <= started(i));
    return older ?? candidates[0] ?? -1;
  });
}

/** Makes the first process of each cycle a root. */
function cutCycles(parents: number[]): void {
  const parentOf = (i: number) => parents[i] ?? -1;
  const marks = new Uint32Array(parents.length); // the iteration that first reached the process
  for (let start = 0; start < parents.length; start++) {
    let i = start;
    while (i >= 0 && marks[i] === 0) {
      marks[i] = start + 1;
      i = parentOf(i);
    }
    if (i < 0 || marks[i] !== start + 1) continue;
    let first = i;
    for (let k = parentOf(i); k !== i; k = parentOf(k)) first = Math.min(first, k);
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
    list.push(...one.children); // the loop visits them too
    one.children = [];
  }
  return list;
}
