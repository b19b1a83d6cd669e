// What became of processes between two instants: what snapshot/diff.go does on the
// server, tested with the same cases.
import { type Process, keyOf } from "./process";

/** One of them is there, mostly both. */
export interface Change {
  before: Process | undefined;
  after: Process | undefined;
}

export type ChangeKind = "started" | "ended" | "grew" | "shrank";
export type Differences = Record<ChangeKind, Change[]>;

/** What is looked at. */
export type Measure = "memory" | "threads";

const level = (process: Process | undefined, by: Measure) =>
  (by === "threads" ? process?.threads : process?.memory_usage) ?? 0;

/** How much more it takes afterwards; what did not run, or is not known, counts as 0. */
export const difference = (change: Change, by: Measure): number => level(change.after, by) - level(change.before, by);

/** The one that is there, the later of two. */
export const newestOf = (change: Change): Process => (change.after ?? change.before)!;

/** Sorts out what started, ended, grew and shrank, the largest difference first. */
export function compare(before: readonly Process[], after: readonly Process[], by: Measure): Differences {
  const lists: Differences = { started: [], ended: [], grew: [], shrank: [] };
  const later = new Map(after.map((process) => [keyOf(process), process]));
  const earlier = new Set(before.map(keyOf));
  for (const process of before) {
    const change: Change = { before: process, after: later.get(keyOf(process)) };
    const more = difference(change, by);
    if (!change.after) lists.ended.push(change);
    else if (more > 0) lists.grew.push(change);
    else if (more < 0) lists.shrank.push(change);
  }
  for (const process of after)
    if (!earlier.has(keyOf(process))) lists.started.push({ before: undefined, after: process });
  for (const list of Object.values(lists))
    list.sort((a, b) => Math.abs(difference(b, by)) - Math.abs(difference(a, by)) || newestOf(a).pid - newestOf(b).pid);
  return lists;
}
