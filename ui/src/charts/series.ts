// From answers of the API to the columns that a chart draws.
import type { MachineChart, MachineMetrics } from "../api/client";

export type Values = (number | null)[];

/** Points of one chart: x in seconds since 1970, one column of values per line. */
export interface Columns {
  x: number[];
  lines: Values[];
}

/** Puts a point without values into every gap, so that no line leads over a time of which nothing is known: where the next point comes three times later than those around it. */
export function withGaps(x: readonly number[], lines: readonly Values[]): Columns {
  const out: Columns = { x: [], lines: lines.map(() => []) };
  const step = (i: number) => x[i]! - x[i - 1]!;
  for (let i = 0; i < x.length; i++) {
    const at = x[i]!;
    const usual = Math.max(i > 1 ? step(i - 1) : 0, i < x.length - 1 ? step(i + 1) : 0);
    if (i > 0 && usual > 0 && step(i) > 3 * usual) {
      out.x.push(at - step(i) / 2);
      for (const line of out.lines) line.push(null);
    }
    out.x.push(at);
    out.lines.forEach((line, k) => line.push(lines[k]?.[i] ?? null));
  }
  return out;
}

/** Amounts in intervals as amounts per second. */
export function rates(amounts: readonly (number | null)[], intervalsMs: readonly number[]): Values {
  return amounts.map((amount, i) => (amount === null || !intervalsMs[i] ? null : (1000 * amount) / intervalsMs[i]));
}

/** One snapshot as a further point of a chart of every snapshot. */
export interface LivePoint {
  timestamp: string;
  intervalMs: number;
  metrics: MachineMetrics;
}

const sum = (values: (number | null | undefined)[]): number | null =>
  values.reduce<number | null>(
    (total, value) => (value === null || value === undefined ? total : (total ?? 0) + value),
    null,
  );

/** Adds snapshots that are newer than the chart's end: only for charts of every snapshot. */
export function appendLive(chart: MachineChart, tail: readonly LivePoint[]): MachineChart {
  const end = chart.timestamps.at(-1) ?? "";
  const newer = tail.filter((point) => point.timestamp > end);
  if (newer.length === 0) return chart;
  const more = <K extends keyof MachineChart>(
    key: K,
    value: (point: LivePoint) => MachineChart[K][number] | undefined,
  ) => [...chart[key], ...newer.map((point) => value(point) ?? null)] as MachineChart[K];
  const metric = (key: keyof MachineMetrics) => (point: LivePoint) => point.metrics[key] as number | null | undefined;
  // As the server sums them up: what a machine sends to itself is left out.
  const disks = (key: "read_bytes" | "write_bytes") => (point: LivePoint) =>
    sum(point.metrics.disks?.map((disk) => disk[key]) ?? []);
  const nets = (key: "received_bytes" | "sent_bytes") => (point: LivePoint) =>
    sum(point.metrics.interfaces?.filter(({ name }) => name !== "lo").map((net) => net[key]) ?? []);
  return {
    ...chart,
    timestamps: more("timestamps", (point) => point.timestamp),
    interval_ms: more("interval_ms", (point) => point.intervalMs),
    cpu_usage_avg: more("cpu_usage_avg", metric("cpu_usage")),
    cpu_usage_max: more("cpu_usage_max", metric("cpu_usage")),
    load1_avg: more("load1_avg", metric("load1")),
    load5_avg: more("load5_avg", metric("load5")),
    load15_avg: more("load15_avg", metric("load15")),
    used_ram_avg: more("used_ram_avg", metric("used_ram")),
    total_ram: more("total_ram", metric("total_ram")),
    used_swap_avg: more("used_swap_avg", metric("used_swap")),
    total_swap: more("total_swap", metric("total_swap")),
    used_disk_avg: more("used_disk_avg", metric("used_disk")),
    total_disk: more("total_disk", metric("total_disk")),
    read_bytes: more("read_bytes", disks("read_bytes")),
    write_bytes: more("write_bytes", disks("write_bytes")),
    received_bytes: more("received_bytes", nets("received_bytes")),
    sent_bytes: more("sent_bytes", nets("sent_bytes")),
  };
}
