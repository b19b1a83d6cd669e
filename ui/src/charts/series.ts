// Converts responses of the API to chart data.
import type { MachineChart, MachineMetrics } from "../api/client";
import { iso } from "../time/range";
import type { Span } from "./spans";

export type Values = (number | null)[];

/** Points: x in seconds since 1970, and one list of values per line. */
interface Points {
  x: number[];
  lines: Values[];
  /** How many processes the values of each point leave out, because theirs are unknown. Absent if there are none. */
  unknown?: Values | undefined;
}

/** The points of a chart. */
export interface ChartData extends Points {
  /** What an export contains, if the chart has points that only shape the line. */
  table?: Points;
}

type Format = (value: number | null) => string;

/** Formats the value of a point. If it leaves out unknown values, it is "at least", as "≥". */
export const valueText = ({ unknown }: ChartData, value: number | null, point: number, format: Format): string =>
  (value !== null && unknown?.[point] ? "≥\u00a0" : "") + format(value);

/** Describes the lines of a chart in words: the latest and the largest value of each. */
export function summary(labels: readonly string[], data: ChartData, format: Format): string {
  return labels
    .map((label, i) => {
      const line = data.lines[i] ?? [];
      const latest = line.findLastIndex((value) => value !== null);
      if (latest < 0) return `${label}: no data`;
      const largest = format(line.reduce<number>((a, b) => Math.max(a, b ?? a), -Infinity));
      const isBound = line.some((value, k) => value !== null && data.unknown?.[k]);
      return (
        `${label}: latest ${valueText(data, line[latest] ?? null, latest, format)}, ` +
        (isBound ? `maximum ≥\u00a0${largest}` : `at most ${largest}`)
      );
    })
    .join("; ");
}

/** Returns the header and the rows of a table of the points. */
export function tableOf(
  labels: readonly string[],
  data: ChartData,
): [string[], (string | number | null | undefined)[][]] {
  const { x, lines, unknown } = data.table ?? data;
  const columns = unknown ? [...lines, unknown] : lines;
  return [
    ["time", ...labels, ...(unknown ? ["unknown processes"] : [])],
    x.map((at, i) => [iso(at * 1000), ...columns.map((line) => line[i])]),
  ];
}

/** The distance between the end of a step and the next one, in seconds. Points of a chart are at different times. */
const stepEnd = 0.001;

/**
 * Returns buckets as steps. Each value holds for the spans of its bucket, and the line breaks where there are none. Spans
 * are in order.
 */
export function steps(at: readonly number[], spans: readonly Span[][], lines: readonly Values[]): ChartData {
  const x: number[] = [];
  const sources: number[] = []; // the bucket of each point, or -1 for a break
  let end: number | undefined;
  spans.forEach((parts, i) => {
    for (const { from, to } of parts) {
      if (end !== undefined && from > end) {
        x.push((end + from) / 2000);
        sources.push(-1);
      }
      x.push(from / 1000);
      sources.push(i);
      if (to - from > 2) {
        x.push(to / 1000 - stepEnd);
        sources.push(i);
      }
      end = Math.max(from + 1, to);
    }
  });
  return {
    x,
    lines: lines.map((line) => sources.map((i) => line[i] ?? null)),
    table: { x: at.map((ms) => ms / 1000), lines: lines.map((line) => [...line]) },
  };
}

/** By how much an interval is longer than one beside it to be drawn as a level. */
const longInterval = 1.5;

/**
 * Returns where the interval of a point begins, in seconds, if it is longer than those of the points beside it. A rate is
 * the average of its interval. Between intervals of the same length, a line that joins the points has the same area. The
 * line to the end of a longer one would have half of it, so this interval is drawn as a level.
 */
export function levelStart(x: readonly number[], intervalsMs: readonly (number | null)[], i: number) {
  const [at, before, interval] = [x[i] ?? Number.NaN, x[i - 1] ?? -Infinity, intervalsMs[i] ?? 0];
  const beside = [intervalsMs[i - 1], intervalsMs[i + 1]].filter((ms) => typeof ms === "number" && ms > 0) as number[];
  const start = Math.max(before, at - interval / 1000) + stepEnd;
  return interval > longInterval * Math.min(...beside) && start < at ? start : undefined;
}

/** Returns the points of rates, with a second point at the start of each long interval. */
export function levels(
  x: readonly number[],
  intervalsMs: readonly (number | null)[],
  lines: readonly Values[],
): Points {
  const out = { x: [] as number[], lines: lines.map((): Values => []) };
  x.forEach((at, i) => {
    const start = lines.some((line) => typeof line[i] === "number") ? levelStart(x, intervalsMs, i) : undefined;
    for (const one of start === undefined ? [at] : [start, at]) {
      out.x.push(one);
      out.lines.forEach((line, k) => line.push(lines[k]?.[i] ?? null));
    }
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

type Interface = NonNullable<MachineMetrics["interfaces"]>[number];

/** Returns what an interface adds to the totals of its machine. Earlier agents do not report which interfaces count. */
function partOfTotal({ name, in_total }: Interface, amount: number | null | undefined): number | null | undefined {
  if (in_total === false) return amount === null || amount === undefined ? null : 0;
  return in_total || name !== "lo" ? amount : null;
}

/**
 * Appends live snapshots that are newer than the chart, and not before its range. The chart must have one point per
 * snapshot.
 */
export function appendLive(chart: MachineChart, from: string, live: readonly LivePoint[]): MachineChart {
  const end = chart.timestamps.at(-1) ?? "";
  const newer = live.filter((point) => point.timestamp > end && Date.parse(point.timestamp) >= Date.parse(from));
  if (newer.length === 0) return chart;
  const append = <K extends keyof MachineChart>(
    key: K,
    value: (point: LivePoint) => MachineChart[K][number] | undefined,
  ) => [...chart[key], ...newer.map((point) => value(point) ?? null)] as MachineChart[K];
  const metric = (key: keyof MachineMetrics) => (point: LivePoint) => point.metrics[key] as number | null | undefined;
  // The server computes the same sums.
  const disks = (key: "read_bytes" | "write_bytes") => (point: LivePoint) =>
    sum(point.metrics.disks?.map((disk) => disk[key]) ?? []);
  const interfaces = (key: "received_bytes" | "sent_bytes") => (point: LivePoint) =>
    sum(point.metrics.interfaces?.map((one) => partOfTotal(one, one[key])) ?? []);
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
    cached_ram_avg: append("cached_ram_avg", metric("cached_ram")),
    shared_ram_avg: append("shared_ram_avg", metric("shared_ram")),
    buffers_ram_avg: append("buffers_ram_avg", metric("buffers_ram")),
    slab_ram_avg: append("slab_ram_avg", metric("slab_ram")),
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
