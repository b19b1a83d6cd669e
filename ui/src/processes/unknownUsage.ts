// Says which values of a process list are unknown, and why.
import type { Process } from "./process";

/** Returns why a value of a snapshot with this interval can be unknown. The interval is 0 if it is unknown. */
export const whyUnknown = (intervalMs: number): string =>
  intervalMs <= 0
    ? "There is no snapshot shortly before this one to compare with."
    : "Not measured since the last gap, or the agent cannot read or does not record it.";

/** Says of how many processes the usage of CPU or I/O is unknown, and why; undefined if all of it is known. */
export function unknownUsage(processes: readonly Process[], intervalMs: number): string | undefined {
  const cpu = processes.filter((p) => p.cpu_usage === null).length;
  const io = processes.filter((p) => p.read_bytes === null || p.write_bytes === null).length;
  const of = (n: number) => `${n.toLocaleString()} of ${processes.length.toLocaleString()}`;
  const parts = [
    ...(cpu > 0 ? [`CPU usage for ${of(cpu)} processes`] : []),
    ...(io > 0 ? [`I/O for ${of(io)} processes`] : []),
  ];
  return parts.length === 0 ? undefined : `Unknown (–): ${parts.join(", ")}. ${whyUnknown(intervalMs)}`;
}
