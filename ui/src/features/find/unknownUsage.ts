// Finds the times in which the sums of a name leave out processes whose usage is unknown.
import type { ProcessHistory } from "../../api/client";
import { type Span, widthOf } from "../../charts/spans";

/** A kind of usage that is unknown for some processes, and the time from the first point to the last one with it. */
export interface UnknownUsage extends Span {
  kind: "CPU" | "I/O";
  /** The largest number of processes at a point. */
  processes: number;
}

/**
 * Returns what the sums of a history leave out. Points without measured time, such as those after a gap, are left out:
 * they have no sums.
 */
export function unknownUsage({ points, resolution }: Pick<ProcessHistory, "points" | "resolution">): UnknownUsage[] {
  const kinds = [
    { kind: "CPU", key: "unknown_cpu_processes" },
    { kind: "I/O", key: "unknown_io_processes" },
  ] as const;
  return kinds.flatMap(({ kind, key }) => {
    const found = points.filter((point) => point.interval_ms > 0 && point[key]);
    const [first, last] = [found[0], found.at(-1)];
    if (!first || !last) return [];
    const processes = Math.max(...found.map((point) => point[key] ?? 0));
    const to = Date.parse(last.timestamp) + widthOf(resolution);
    return [{ kind, processes, from: Date.parse(first.timestamp), to }];
  });
}
