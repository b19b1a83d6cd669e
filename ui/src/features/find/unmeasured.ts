// Finds the times in which only some of the machines that ran the processes of a name were measured.
import type { ProcessHistory } from "../../api/client";
import { type Span, measuredIn, widthOf, without } from "../../charts/spans";

/** A time in which not all machines were measured. */
export interface Unmeasured extends Span {
  /** How many machines were measured. */
  measured: number;
  /** How many machines had sent data before. */
  expected: number;
}

/** How late the snapshots of a machine can arrive, in milliseconds. */
const delay = 120_000;

/**
 * How much of a bucket that is not over must have passed, in milliseconds. The API counts a machine as measured if it
 * misses less than a twentieth of the time, so that a machine that is a little late is counted.
 */
const enough = 600_000;

type History = Pick<ProcessHistory, "points" | "unmeasured" | "resolution">;

/** Returns the times of the points, and those of missing points in which not all machines were measured. */
const timesOf = ({ points, unmeasured = [] }: History) =>
  [...points, ...unmeasured].sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp));

/**
 * Returns the times of a history that was loaded at an instant. The end of the history is left out, because machines
 * may still send its snapshots. A time in which the processes did not run on the measured machines is included if it is
 * between two times with the same numbers of machines.
 */
export function unmeasured(history: History, now: number): Unmeasured[] {
  const width = widthOf(history.resolution);
  const list: Unmeasured[] = [];
  let last: Unmeasured | undefined;
  const add = (time: Unmeasured) => {
    if (last?.measured === time.measured && last.expected === time.expected) last.to = time.to;
    else {
      last = time;
      list.push(last);
    }
  };
  timesOf(history).forEach((time, i) => {
    const { machines_measured: measured = 0, machines_expected: expected = 0 } = time;
    const from = Date.parse(time.timestamp);
    if (from + Math.min(width, enough) > now - delay) return;
    const to = Math.min(from + width, now);
    if (measured < expected) {
      add({ from, to, measured, expected });
      return;
    }
    const known = "measured" in time ? measuredIn(time.measured, { from, to }) : undefined;
    const holes = known ? without([{ from, to: Math.min(to, now - delay) }], known) : [];
    for (const hole of holes) {
      // Before the first time, the machines may not have sent data yet.
      const isStart = i === 0 && hole.from === from;
      if (isStart || hole.to - hole.from <= width / 20) continue;
      if (hole.from > from) last = undefined;
      add({ ...hole, measured: 0, expected });
    }
    if (holes.at(-1)?.to !== to) last = undefined;
  });
  return list;
}
