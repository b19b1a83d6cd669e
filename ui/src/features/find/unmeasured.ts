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
 * Returns the times of a history that was loaded at an instant. The end of the history is left out, because machines may
 * still send its snapshots.
 */
export function unmeasured(
  { points, machines = 0, resolution }: Pick<ProcessHistory, "points" | "machines" | "resolution">,
  now: number,
): Unmeasured[] {
  const width = widthOf(resolution);
  const list: Unmeasured[] = [];
  for (const { timestamp, machines_measured: measured = 0 } of points) {
    const from = Date.parse(timestamp);
    if (measured >= machines || from + width > now - delay) continue;
    const last = list.at(-1);
    if (last?.to === from) {
      last.to = from + width;
      last.machines = Math.min(last.machines, measured);
    } else list.push({ from, to: from + width, machines: measured });
  }
  return list;
}
