// From the processes of a snapshot to the rows of the table: filter, include,
// exclude, sort, collapse. Pure functions, so that they are tested without a browser.
import { type Process, compareStrings, keyOf } from "./process";
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
  /** Text that name, command line, user, control group or pid contain. */
  filter: string;
  /** Whose processes; empty is everybody's. */
  user: string;
  /** At least so many percent of one core. */
  cpu: number;
  /** At least so many bytes. */
  memory: number;
  /** Names to show alone; empty is all. */
  include: readonly string[];
  /** Names to leave out; their children take their place. */
  exclude: readonly string[];
  /** A flat list instead of a tree. */
  flat: boolean;
}

/** What the least memory is given in, bytes. */
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

/** What is added up over a subtree. */
export interface Sums {
  cpu: number | null;
  memory: number | null;
  threads: number | null;
  files: number | null;
  read: number | null;
  write: number | null;
}

export interface Row extends Sums {
  key: string;
  process: Process;
  depth: number;
  /** How many processes there are below, however deep. */
  below: number;
  collapsed: boolean;
  /** Only here because something below it matches. */
  faint: boolean;
}

interface Branch {
  key: string;
  process: Process;
  children: Branch[];
  below: number;
  matches: boolean;
  /** Whether this or anything below matches. */
  kept: boolean;
  own: Sums;
  sums: Sums;
}

/** The rows of the table, in order. Sums are over the process alone, and where it is collapsed over all below it. */
export function rows(processes: readonly Process[], view: View, collapsed: ReadonlySet<string>): Row[] {
  const matches = matcher(view);
  const excluded = new Set(view.exclude);
  if (view.flat) {
    return processes
      .filter((process) => !excluded.has(process.name) && matches(process))
      .map((process): Row => ({
        ...own(process),
        key: keyOf(process),
        process,
        depth: 0,
        below: 0,
        collapsed: false,
        faint: false,
      }))
      .sort((a, b) => compare(a.process, a, b.process, b, view));
  }
  const forest = tree(processes);
  const out: Row[] = [];
  emit(
    (excluded.size ? prune(forest, (process) => !excluded.has(process.name)) : forest).map((node) =>
      branch(node, matches),
    ),
    0,
    filters(view),
    view,
    collapsed,
    out,
  );
  return out;
}

/** Whether the view leaves out anything but what is excluded. */
export const filters = (view: View): boolean =>
  view.filter.trim() !== "" || view.user !== "" || view.cpu > 0 || view.memory > 0 || view.include.length > 0;

/** The keys of all processes that have children. */
export function parents(processes: readonly Process[]): string[] {
  const collect = (forest: Node[]): string[] =>
    forest.flatMap((node) => (node.children.length ? [keyOf(node.process), ...collect(node.children)] : []));
  return collect(tree(processes));
}

function matcher(view: View): (process: Process) => boolean {
  const needle = view.filter.trim().toLowerCase();
  const included = new Set(view.include);
  return (p) =>
    (needle === "" ||
      p.name.toLowerCase().includes(needle) ||
      p.command_line.toLowerCase().includes(needle) ||
      p.user.toLowerCase().includes(needle) ||
      (p.cgroup?.toLowerCase().includes(needle) ?? false) ||
      String(p.pid).includes(needle)) &&
    (view.user === "" || p.user === view.user) &&
    (view.cpu <= 0 || (p.cpu_usage ?? 0) >= view.cpu) &&
    (view.memory <= 0 || (p.memory_usage ?? 0) >= view.memory) &&
    (included.size === 0 || included.has(p.name));
}

const own = (p: Process): Sums => ({
  cpu: p.cpu_usage,
  memory: p.memory_usage,
  threads: p.threads,
  files: p.open_files ?? null,
  read: p.read_bytes,
  write: p.write_bytes,
});
const add = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : a + b);

function branch(node: Node, matches: (process: Process) => boolean): Branch {
  const mine = own(node.process);
  const out: Branch = {
    key: keyOf(node.process),
    process: node.process,
    children: [],
    below: 0,
    matches: matches(node.process),
    kept: false,
    own: mine,
    sums: { ...mine },
  };
  out.kept = out.matches;
  for (const one of node.children) {
    const child = branch(one, matches);
    out.children.push(child);
    out.below += 1 + child.below;
    out.kept ||= child.kept;
    for (const key of Object.keys(mine) as (keyof Sums)[]) out.sums[key] = add(out.sums[key], child.sums[key]);
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
  // Among siblings a whole subtree counts: a shell with a busy child is busy.
  const siblings = branches.filter((b) => b.kept).sort((a, b) => compare(a.process, a.sums, b.process, b.sums, view));
  for (const { key, process, children, below, matches, own, sums } of siblings) {
    // A filter looks into collapsed subtrees: what matches must be seen.
    const shut = collapsed.has(key) && !filtering && children.length > 0;
    out.push({ key, process, depth, below, collapsed: shut, faint: !matches, ...(shut ? sums : own) });
    if (!shut) emit(children, depth + 1, filtering, view, collapsed, out);
  }
}

function compare(a: Process, sumsOfA: Sums, b: Process, sumsOfB: Sums, view: View): number {
  const order = compareBy(a, sumsOfA, b, sumsOfB, view.sort);
  // Ties by pid in either direction, so that rows do not jump about.
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
    default: // what is not known is less than anything known
      return (sumsOfA[key] ?? -1) - (sumsOfB[key] ?? -1);
  }
}
