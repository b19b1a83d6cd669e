// Computes the rows of the process table from the processes of a snapshot: filters, order and collapsed subtrees.
import { textMatch } from "../textMatch";
import { type Process, compareStrings, cpuUsage, keyOf } from "./process";
import { type Node, prune, tree } from "./tree";

export const sortKeys = [
  "pid",
  "ppid",
  "name",
  "user",
  "state",
  "cpu",
  "memory",
  "threads",
  "files",
  "read",
  "write",
  "started",
  "group",
] as const;
export type SortKey = (typeof sortKeys)[number];

export interface View {
  sort: SortKey;
  descending: boolean;
  /** Text that the name, command line, user, control group or pid contains. */
  filter: string;
  /** Empty for all users. */
  user: string;
  /** Minimum CPU usage in percent of one core. */
  cpu: number;
  /** Minimum memory usage in bytes. */
  memory: number;
  /** Names of the processes to show; empty for all. */
  include: readonly string[];
  /** Names of the processes to hide. Their children take their place. */
  exclude: readonly string[];
  /** Shows a flat list instead of a tree. */
  flat: boolean;
}

export const mebibyte = 2 ** 20;

export const defaultView: View = {
  sort: "pid",
  descending: false,
  filter: "",
  user: "",
  cpu: 0,
  memory: 0,
  include: [],
  exclude: [],
  flat: false,
};

/** The values that are summed over a subtree; null if unknown. */
export interface Sums {
  cpu: number | null;
  memory: number | null;
  threads: number | null;
  files: number | null;
  read: number | null;
  write: number | null;
}

/** How many values a sum leaves out because they are unknown. */
export type UnknownCounts = Record<keyof Sums, number>;

export interface Row extends Sums {
  key: string;
  process: Process;
  depth: number;
  /** The number of descendants. */
  descendants: number;
  collapsed: boolean;
  /** What the sums of a collapsed row leave out. */
  unknown?: UnknownCounts;
  /** Shown only because a descendant matches the filters. */
  contextOnly: boolean;
}

interface Branch {
  key: string;
  process: Process;
  children: Branch[];
  descendants: number;
  matches: boolean;
  /** Reports whether the process or one of its descendants matches. */
  kept: boolean;
  own: Sums;
  sums: Sums;
  unknown: UnknownCounts;
}

/**
 * Returns the rows in order. The values of a collapsed row are the sums over its subtree. The interval of the snapshot, in
 * milliseconds, converts CPU times to usage; 0 if it is unknown.
 */
export function rows(
  processes: readonly Process[],
  view: View,
  collapsed: ReadonlySet<string>,
  intervalMs: number,
): Row[] {
  const matches = matcher(view);
  const excluded = new Set(view.exclude);
  if (view.flat) {
    return processes
      .filter((process) => !excluded.has(process.name) && matches(process))
      .map((process): Row => ({
        ...valuesOf(process),
        key: keyOf(process),
        process,
        depth: 0,
        descendants: 0,
        collapsed: false,
        contextOnly: false,
      }))
      .sort((a, b) => compare(a.process, a, b.process, b, view));
  }
  const forest = tree(processes);
  const out: Row[] = [];
  emit(
    (excluded.size ? prune(forest, (process) => !excluded.has(process.name)) : forest).map((node) =>
      branch(node, matches, intervalMs),
    ),
    0,
    isFiltered(view),
    view,
    collapsed,
    out,
  );
  return out;
}

/** Reports whether the view has filters other than excluded names. */
export const isFiltered = (view: View): boolean =>
  view.filter.trim() !== "" || view.user !== "" || view.cpu > 0 || view.memory > 0 || view.include.length > 0;

/** Returns the keys of all processes that have children. */
export function parentKeys(processes: readonly Process[]): string[] {
  const collect = (forest: Node[]): string[] =>
    forest.flatMap((node) => (node.children.length ? [keyOf(node.process), ...collect(node.children)] : []));
  return collect(tree(processes));
}

function matcher(view: View): (process: Process) => boolean {
  const needle = view.filter.trim();
  const matches = textMatch(needle);
  const included = new Set(view.include);
  return (p) =>
    (needle === "" ||
      matches(p.name) ||
      matches(p.command_line) ||
      matches(p.user) ||
      (p.cgroup !== undefined && matches(p.cgroup)) ||
      String(p.pid).includes(needle)) &&
    (view.user === "" || p.user === view.user) &&
    (view.cpu <= 0 || (p.cpu_usage ?? 0) >= view.cpu) &&
    (view.memory <= 0 || (p.memory_usage ?? 0) >= view.memory) &&
    (included.size === 0 || included.has(p.name));
}

const valuesOf = (p: Process): Sums => ({
  cpu: p.cpu_usage,
  memory: p.memory_usage,
  threads: p.threads,
  files: p.open_files ?? null,
  read: p.read_bytes,
  write: p.write_bytes,
});
const round = (usage: number | null) => (usage === null ? null : Math.round(100 * usage) / 100);
const add = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : a + b);

const unknownIn = (values: Sums): UnknownCounts => ({
  cpu: Number(values.cpu === null),
  memory: Number(values.memory === null),
  threads: Number(values.threads === null),
  files: Number(values.files === null),
  read: Number(values.read === null),
  write: Number(values.write === null),
});

function branch(node: Node, matches: (process: Process) => boolean, intervalMs: number): Branch {
  const own = valuesOf(node.process);
  // The CPU usage is not rounded, because the errors of many small processes add up.
  const cpu = own.cpu === null ? null : (cpuUsage(node.process.cpu_ms, intervalMs) ?? own.cpu);
  const out: Branch = {
    key: keyOf(node.process),
    process: node.process,
    children: [],
    descendants: 0,
    matches: matches(node.process),
    kept: false,
    own,
    sums: { ...own, cpu },
    unknown: unknownIn(own),
  };
  out.kept = out.matches;
  for (const one of node.children) {
    const child = branch(one, matches, intervalMs);
    out.children.push(child);
    out.descendants += 1 + child.descendants;
    out.kept ||= child.kept;
    for (const key of Object.keys(own) as (keyof Sums)[]) {
      out.sums[key] = add(out.sums[key], child.sums[key]);
      out.unknown[key] += child.unknown[key];
    }
  }
  return out;
}

function emit(
  branches: Branch[],
  depth: number,
  filtering: boolean,
  view: View,
  collapsed: ReadonlySet<string>,
  out: Row[],
) {
  // Siblings are sorted by the sums over their subtrees: a shell with a busy child comes first.
  const siblings = branches.filter((b) => b.kept).sort((a, b) => compare(a.process, a.sums, b.process, b.sums, view));
  for (const { key, process, children, descendants, matches, own, sums, unknown } of siblings) {
    // While a filter is active, matches inside collapsed subtrees are shown.
    const isCollapsed = collapsed.has(key) && !filtering && children.length > 0;
    out.push({
      key,
      process,
      depth,
      descendants,
      collapsed: isCollapsed,
      contextOnly: !matches,
      ...(isCollapsed ? { ...sums, cpu: round(sums.cpu), unknown } : own),
    });
    if (!isCollapsed) emit(children, depth + 1, filtering, view, collapsed, out);
  }
}

function compare(a: Process, sumsOfA: Sums, b: Process, sumsOfB: Sums, view: View): number {
  const order = compareBy(a, sumsOfA, b, sumsOfB, view.sort);
  // Ties are always sorted by ascending pid, so that rows do not move.
  return (view.descending ? -order : order) || a.pid - b.pid;
}

function compareBy(a: Process, sumsOfA: Sums, b: Process, sumsOfB: Sums, key: SortKey): number {
  switch (key) {
    case "pid":
    case "ppid":
      return a[key] - b[key];
    case "name":
    case "user":
      return compareStrings(a[key], b[key]);
    case "state":
      return compareStrings(a.state ?? "", b.state ?? "");
    case "group":
      return compareStrings(a.cgroup ?? "", b.cgroup ?? "");
    case "started":
      return compareStrings(a.started_at ?? "", b.started_at ?? "");
    default: // unknown values come before known ones
      return (sumsOfA[key] ?? -1) - (sumsOfB[key] ?? -1);
  }
}
