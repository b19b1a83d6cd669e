import type { MachineDiff } from "../../api/client";

type Unknown = Pick<MachineDiff, "unknown_cpu_processes" | "unknown_io_processes">;

const processes = (n: number) => (n === 1 ? "1 process" : `${n.toLocaleString()} processes`);

/** Says of how many processes at both times the usage in between is unknown; undefined if there are none. */
export function unknownUsageText({
  unknown_cpu_processes: cpu,
  unknown_io_processes: io,
}: Unknown): string | undefined {
  if (cpu === 0 && io === 0) return undefined;
  if (io === 0) return `CPU time is unknown for ${processes(cpu)}.`;
  if (cpu === 0) return `I/O is unknown for ${processes(io)}.`;
  return cpu === io
    ? `CPU time and I/O are unknown for ${processes(cpu)}.`
    : `CPU time is unknown for ${processes(cpu)}, and I/O for ${processes(io)}.`;
}
