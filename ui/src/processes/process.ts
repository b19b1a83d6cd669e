// What the page knows of one process, and what tells it from others.
import type { Process } from "../api/client";

export type { Process };

/** Stays the same from snapshot to snapshot: a pid is reused, a pid with its start time is not. */
export const keyOf = (process: { pid: number; started_at?: string | undefined }): string =>
  `${process.pid}@${process.started_at ?? ""}`;

/** By pid, then start time: the order in which lists come. */
export function byPid(a: Process, b: Process): number {
  return a.pid - b.pid || compareStrings(a.started_at ?? "", b.started_at ?? "");
}

/** As a program compares texts: much faster than by a language's rules, and the same for everybody. */
export const compareStrings = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
