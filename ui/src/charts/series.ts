// Converts responses of the API to chart data.
import type { MachineChart, MachineMetrics } from "../api/client";

export type Values = (number | null)[];

/** The points of a chart: x in seconds since 1970, and one list of values per line. */
export interface ChartData {
  x: number[];
  lines: Values[];
}

/**
 * Inserts a point without values into every gap, so that no line is drawn across it. A gap is a step
 * that is more than three times as long as the steps before and after.
 */
export function withGaps(x: readonly number[], lines: readonly Values[]): ChartData {
  const out: ChartData = { x: [], lines: lines.map(() => []) };
  const steps = x.map((at, i) => (i > 0 ? at - (x[i - 1] ?? at) : 0));
  x.forEach((at, i) => {
    const step = steps[i] ?? 0;
    const usual = Math.max(steps[i - 1] ?? 0, steps[i + 1] ?? 0);
    if (usual > 0 && step > 3 * usual) {
      out.x.push(at - step / 2);
      for (const line of out.lines) line.push(null);
    }
    out.x.push(at);
    out.lines.forEach((line, k) => line.push(lines[k]?.[i] ?? null));
  });
  return out;
}

/** Converts amounts per interval to amounts per second. */
export function rates(amounts: readonly (number | null)[], intervalsMs: readonly (number | null)[]): Values {
  return amounts.map((amount, i) => {
    const interval = intervalsMs[i];
    return amount === null || !interval ? null : (1000 * amount) / interval;
  });
}

/** A live snapshot as a point of a chart. */
export interface LivePoint {
  timestamp: string;
  intervalMs: number;
  metrics: MachineMetrics;
}

/** Sums the known values; null if there is none. */
const sum = (values: (number | null | undefined)[]): number | null =>
  values.reduce<number | null>((total, value) => {
    return value === null || value === undefined ? total : (total ?? 0) + value;
  }, null);

/** Appends live snapshots that are newer than the chart. The chart must have one point per snapshot. */
export function appendLive(chart: MachineChart, live: readonly LivePoint[]): MachineChart {
  const end = chart.timestamps.at(-1) ?? "";
  const newer = live.filter((point) => point.timestamp > end);
  if (newer.length === 0) return chart;
  const append = <K extends keyof MachineChart>(
    key: K,
    value: (point: LivePoint) => MachineChart[K][number] | undefined,
  ) => [...chart[key], ...newer.map((point) => value(point) ?? null)] as MachineChart[K];
  const metric = (key: keyof MachineMetrics) => (point: LivePoint) => point.metrics[key] as number | null | undefined;
  // The server computes the same sums. It ignores the loopback interface, too.
  const disks = (key: "read_bytes" | "write_bytes") => (point: LivePoint) =>
    sum(point.metrics.disks?.map((disk) => disk[key]) ?? []);
  const interfaces = (key: "received_bytes" | "sent_bytes") => (point: LivePoint) =>
    sum(point.metrics.interfaces?.filter(({ name }) => name !== "lo").map((one) => one[key]) ?? []);
  return {
    ...chart,
    timestamps: append("timestamps", (point) => point.timestamp),
    interval_ms: append("interval_ms", (point) => point.intervalMs),
    cpu_usage_avg: append("cpu_usage_avg", metric("cpu_usage")),
    cpu_usage_max: append("cpu_usage_max", metric("cpu_usage")),
    load1_avg: append("load1_avg", metric("load1")),
    load5_avg: append("load5_avg", metric("load5")),
    load15_avg: append("load15_avg", metric("load15")),
    used_ram_avg: append("used_ram_avg", metric("used_ram")),
    total_ram: append("total_ram", metric("total_ram")),
    used_swap_avg: append("used_swap_avg", metric("used_swap")),
    total_swap: append("total_swap", metric("total_swap")),
    used_disk_avg: append("used_disk_avg", metric("used_disk")),
    total_disk: append("total_disk", metric("total_disk")),
    read_bytes: append("read_bytes", disks("read_bytes")),
    write_bytes: append("write_bytes", disks("write_bytes")),
    received_bytes: append("received_bytes", interfaces("received_bytes")),
    sent_bytes: append("sent_bytes", interfaces("sent_bytes")),
    read_ms: append("read_ms", (point) => point.intervalMs),
    write_ms: append("write_ms", (point) => point.intervalMs),
    received_ms: append("received_ms", (point) => point.intervalMs),
    sent_ms: append("sent_ms", (point) => point.intervalMs),
  };
}
