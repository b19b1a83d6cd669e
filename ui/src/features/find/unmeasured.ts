// Finds the times in which only some of the machines that ran the processes of a name were measured.
import type { ProcessHistory } from "../../api/client";
import { widthOf } from "../../charts/spans";

/** A time in which not all machines were measured. */
export interface Unmeasured {
  from: number;
  to: number;
  /** The smallest number of machines that were measured. */
  machines: number;
}

/** How late the snapshots of a machine can arrive, in milliseconds. */
const delay = 120_000;

/**
 * How much of a bucket that is not over must have passed, in milliseconds. The API counts a machine as measured if it
 * misses less than a twentieth of the time, so that a machine that is a little late is counted.
 */
const enough = 600_000;

type History = Pick<ProcessHistory, "points" | "unmeasured" | "machines" | "resolution">;

/** Returns the times of the points, and those of missing points in which not all machines were measured. */
const timesOf = ({ points, unmeasured = [] }: History) =>
  [...points, ...unmeasured].sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp));

/**
 * Returns the times of a history that was loaded at an instant. The end of the history is left out, because machines
 * may still send its snapshots. A time in which the processes did not run on the measured machines is included if it is
 * between two such times.
 */
export function unmeasured(history: History, now: number): Unmeasured[] {
  const { machines = 0, resolution } = history;
  const width = widthOf(resolution);
  const list: Unmeasured[] = [];
  let last: Unmeasured | undefined;
  for (const { timestamp, machines_measured: measured = 0 } of timesOf(history)) {
    const from = Date.parse(timestamp);
    if (from + Math.min(width, enough) > now - delay) break;
    const to = Math.min(from + width, now);
    if (measured >= machines) last = undefined;
    else if (last) {
      last.to = to;
      last.machines = Math.min(last.machines, measured);
    } else {
      last = { from, to, machines: measured };
      list.push(last);
    }
  }
  return list;
}
