// Compares the processes of two instants, like snapshot/diff.go on the server. Both run the same test cases.
import { type Process, keyOf } from "./process";

/** A process at the two instants. At least one is defined. */
export type Change = { before: Process; after: Process | undefined } | { before: Process | undefined; after: Process };

export type ChangeKind = "started" | "ended" | "changed" | "grew" | "shrank";
export type Differences = Record<ChangeKind, Change[]>;

/** The result of a comparison. */
export interface Comparison {
  lists: Differences;
  /** The number of processes at both instants whose measure is unknown at one of them. */
  unknown: number;
}

/** The value that is compared. */
export type Measure = "memory" | "threads";

/** Returns the value of a process. It is 0 while the process does not run, and null if it is unknown. */
function valueOf(process: Process | undefined, by: Measure): number | null {
  if (!process) return 0;
  return by === "threads" ? process.threads : process.memory_usage;
}

/** Returns the increase of the measure, or null if it is unknown. */
export function difference(change: Change, by: Measure): number | null {
  const [before, after] = [valueOf(change.before, by), valueOf(change.after, by)];
  return before === null || after === null ? null : after - before;
}

/** Returns the process after the change if it is defined, else before. */
export const newestOf = (change: Change): Process => change.after ?? (change as { before: Process }).before;

/** The parts of the identity of a process, with their titles. */
const identityParts = [
  ["name", "Name"],
  ["command_line", "Command line"],
  ["user", "User"],
  ["ppid", "Parent"],
  ["cgroup", "Control group"],
] as const;

export interface IdentityChange {
  title: string;
  before: string;
  after: string;
}

/** Returns what changed in the identity of a process that ran at both instants, for example because of exec. */
export function identityChanges({ before, after }: Change): IdentityChange[] {
  if (!before || !after) return [];
  return identityParts
    .map(([key, title]) => ({ title, before: String(before[key] ?? ""), after: String(after[key] ?? "") }))
    .filter((part) => part.before !== part.after);
}

/**
 * Returns the processes that started, ended, changed their identity, grew and shrank, sorted by the size of the
 * difference. A process that changed its identity can also be in another list.
 */
export function compare(before: readonly Process[], after: readonly Process[], by: Measure): Comparison {
  const lists: Differences = { started: [], ended: [], changed: [], grew: [], shrank: [] };
  let unknown = 0;
  const later = new Map(after.map((process) => [keyOf(process), process]));
  const earlier = new Set(before.map(keyOf));
  for (const process of before) {
    const change: Change = { before: process, after: later.get(keyOf(process)) };
    const more = difference(change, by);
    if (!change.after) lists.ended.push(change);
    else if (more === null) unknown++;
    else if (more > 0) lists.grew.push(change);
    else if (more < 0) lists.shrank.push(change);
    if (identityChanges(change).length > 0) lists.changed.push(change);
  }
  for (const process of after)
    if (!earlier.has(keyOf(process))) lists.started.push({ before: undefined, after: process });
  const sizeOf = (change: Change) => Math.abs(difference(change, by) ?? 0);
  for (const list of Object.values(lists))
    list.sort((a, b) => sizeOf(b) - sizeOf(a) || newestOf(a).pid - newestOf(b).pid);
  return { lists, unknown };
}
