// From the process tree of a snapshot to the rows of the table: filter, exclude,
// sort, collapse. Pure functions, so that they are tested without a browser.
import type { ProcessNode } from "../api/client";

export type SortKey = "pid" | "name" | "user" | "state" | "cpu" | "memory" | "threads" | "read" | "write";
export const sortKeys: SortKey[] = ["pid", "name", "user", "state", "cpu", "memory", "threads", "read", "write"];

export interface View {
  sort: SortKey;
  descending: boolean;
  /** Text that name, command line, user or pid contain. */
  filter: string;
  /** Names to leave out; their children take their place. */
  exclude: string[];
  /** A flat list instead of a tree. */
  flat: boolean;
}

export interface Row {
  /** Stays the same from snapshot to snapshot. */
  key: string;
  node: ProcessNode;
  depth: number;
  /** How many processes there are below, however deep. */
  below: number;
  collapsed: boolean;
  /** Only here because something below it matches the filter. */
  faint: boolean;
  /** Sums over the process and, where it is collapsed, all below it. */
  cpu: number | null;
  memory: number | null;
}

export const keyOf = (node: ProcessNode): string => `${node.pid}@${node.started_at ?? ""}`;

/** Counts the processes of a forest. */
export function count(forest: ProcessNode[]): number {
  return forest.reduce((n, node) => n + 1 + count(node.children ?? []), 0);
}

interface Branch {
  node: ProcessNode;
  children: Branch[];
  below: number;
  matches: boolean;
  /** Whether this or anything below matches. */
  kept: boolean;
  cpu: number | null;
  memory: number | null;
}

/** The rows of the table, in order. */
export function rows(forest: ProcessNode[], view: View, collapsed: ReadonlySet<string>): Row[] {
  const needle = view.filter.trim().toLowerCase();
  const excluded = new Set(view.exclude);
  const branches = prune(forest, excluded).map((node) => branch(node, needle));
  if (view.flat) {
    return flatten(branches)
      .filter((b) => b.matches)
      .map((b) => ({ ...own(b.node), key: keyOf(b.node), node: b.node, depth: 0, below: 0, collapsed: false, faint: false }))
      .sort((a, b) => compare(a, b, view));
  }
  const out: Row[] = [];
  emit(branches, 0, needle !== "", view, collapsed, out);
  return out;
}

function prune(forest: ProcessNode[], excluded: ReadonlySet<string>): ProcessNode[] {
  if (excluded.size === 0) return forest;
  return forest.flatMap((node) => {
    const children = prune(node.children ?? [], excluded);
    return excluded.has(node.name) ? children : [{ ...node, children }];
  });
}

function branch(node: ProcessNode, needle: string): Branch {
  const children = (node.children ?? []).map((child) => branch(child, needle));
  const matches = needle === "" || [node.name, node.command_line, node.user, String(node.pid)].some((text) => text.toLowerCase().includes(needle));
  const mine = own(node);
  return {
    node,
    children,
    matches,
    kept: matches || children.some((child) => child.kept),
    below: children.reduce((n, child) => n + 1 + child.below, 0),
    cpu: children.reduce((sum, child) => add(sum, child.cpu), mine.cpu),
    memory: children.reduce((sum, child) => add(sum, child.memory), mine.memory),
  };
}

const own = (node: ProcessNode) => ({ cpu: node.cpu_usage, memory: node.memory_usage });
const add = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : a + b);
const flatten = (branches: Branch[]): Branch[] => branches.flatMap((b) => [b, ...flatten(b.children)]);

function emit(branches: Branch[], depth: number, filtering: boolean, view: View, collapsed: ReadonlySet<string>, out: Row[]) {
  // Among siblings a whole subtree counts: a shell with a busy child is busy.
  const siblings = branches.filter((b) => b.kept).sort((a, b) => compare(a, b, view));
  for (const b of siblings) {
    const key = keyOf(b.node);
    // A filter looks into collapsed subtrees: what matches must be seen.
    const shut = collapsed.has(key) && !filtering && b.children.length > 0;
    out.push({
      key,
      node: b.node,
      depth,
      below: b.below,
      collapsed: shut,
      faint: !b.matches,
      ...(shut ? { cpu: b.cpu, memory: b.memory } : own(b.node)),
    });
    if (!shut) emit(b.children, depth + 1, filtering, view, collapsed, out);
  }
}

type Sortable = { node: ProcessNode; cpu: number | null; memory: number | null };

function compare(a: Sortable, b: Sortable, view: View): number {
  const order = compareBy(a, b, view.sort);
  // Ties by pid in either direction, so that rows do not jump about.
  return (view.descending ? -order : order) || a.node.pid - b.node.pid;
}

function compareBy(a: Sortable, b: Sortable, key: SortKey): number {
  switch (key) {
    case "pid":
      return a.node.pid - b.node.pid;
    case "name":
      return a.node.name.localeCompare(b.node.name);
    case "user":
      return a.node.user.localeCompare(b.node.user);
    case "state":
      return (a.node.state ?? "").localeCompare(b.node.state ?? "");
    case "cpu":
      return numbers(a.cpu, b.cpu);
    case "memory":
      return numbers(a.memory, b.memory);
    case "threads":
      return numbers(a.node.threads, b.node.threads);
    case "read":
      return numbers(a.node.read_bytes, b.node.read_bytes);
    case "write":
      return numbers(a.node.write_bytes, b.node.write_bytes);
  }
}

/** What is not known is less than anything known. */
const numbers = (a: number | null, b: number | null) => (a ?? -1) - (b ?? -1);
