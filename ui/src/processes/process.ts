// The identity and the order of processes.
import type { Process } from "../api/client";

export type { Process };

/** Returns the key of a process, the same in all snapshots. A pid can be reused, a pid with a start time cannot. */
export const keyOf = (process: { pid: number; started_at?: string | undefined }): string =>
  `${process.pid}@${process.started_at ?? ""}`;

/** Compares by pid, then by start time. The server sorts lists of processes the same way. */
export function byPid(a: Process, b: Process): number {
  return a.pid - b.pid || compareStrings(a.started_at ?? "", b.started_at ?? "");
}

/** Compares by code units: much faster than localeCompare, and independent of the locale. */
export const compareStrings = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Converts a CPU time to usage in percent of one core, not rounded; null if the time or the interval is unknown. */
export const cpuUsage = (cpuMs: number | null, intervalMs: number): number | null =>
  cpuMs === null || intervalMs <= 0 ? null : (100 * cpuMs) / intervalMs;
