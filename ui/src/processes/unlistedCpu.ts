// The CPU usage of a machine that no process of the list has.
import type { EndedProcesses, MachineMetrics } from "../api/client";
import { type Process, cpuUsage } from "./process";

export interface UnlistedCpu {
  /** The processes that ended in the interval; undefined if they are not known. */
  ended: EndedProcesses | undefined;
  /** The rest of the machine’s CPU usage, in percent of one core; null if it is not known. */
  rest: number | null;
  /** The number of processes whose usage is not known, so that it is in the rest. */
  unknown: number;
}

const sum = (values: (number | null | undefined)[]): number =>
  values.reduce<number>((total, value) => total + (value ?? 0), 0);

/**
 * Compares the CPU usage of a machine with that of its processes. The usage of the machine is a percentage of all
 * cores, that of a process is a percentage of one core. The clocks differ, so the sum may be higher: the rest is then
 * 0.
 */
export function unlistedCpu(
  metrics: MachineMetrics,
  cpuCount: number | undefined,
  processes: readonly Process[],
  ended: EndedProcesses | undefined,
  intervalMs: number,
): UnlistedCpu {
  const then = metrics.cores?.length ?? 0;
  const cores = then > 0 ? then : cpuCount;
  const total = metrics.cpu_usage;
  const unknown = processes.filter(isUnknown).length + unknownOf(ended);
  if (total === null || total === undefined || !cores || (processes.length > 0 && processes.every(isUnknown)))
    return { ended, rest: null, unknown };
  // The usage of each process is rounded, so the CPU times are added.
  const explained = cpuUsage(sum([...processes.map((p) => p.cpu_ms), ended?.cpu_ms]), intervalMs);
  return { ended, rest: Math.max(0, total * cores - (explained ?? 0)), unknown };
}

const isUnknown = (process: Process) => process.cpu_usage === null;

/** Returns the number of ended processes whose usage is not known. */
const unknownOf = (ended: EndedProcesses | undefined): number =>
  ended?.cpu_usage === null ? ended.processes : (ended?.unknown ?? 0);
