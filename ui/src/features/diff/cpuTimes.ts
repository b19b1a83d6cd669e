import type { MachineDiff, Process } from "../../api/client";
import { keyOf } from "../../processes/process";

/**
 * Returns the CPU times of processes between two instants by process key, in milliseconds. They are null or absent if
 * they are unknown. The server leaves out processes that ran at both instants and used none.
 */
export function cpuTimes(diff: MachineDiff | undefined, after: readonly Process[]): Map<string, number | null> {
  const times = new Map<string, number | null>();
  if (!diff) return times;
  const { started, ended, grew, shrank, active, totals } = diff;
  const isCut = (["started", "grew", "shrank", "active"] as const).some((kind) => diff[kind].length < totals[kind]);
  if (!isCut) for (const process of after) if (process.cpu_ms !== null) times.set(keyOf(process), 0);
  for (const change of [started, ended, grew, shrank, active].flat()) times.set(keyOf(change), change.cpu_ms);
  return times;
}
