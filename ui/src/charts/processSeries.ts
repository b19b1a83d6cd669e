// Converts the history of a process to chart data.
import type { ProcessPoint } from "../api/client";
import { hasExited } from "../processes/replay";
import { iso } from "../time/range";
import type { Gap } from "./gaps";
import { type ChartData, levelStart, steps } from "./series";
import { type Span, measuredIn, measuredSpans, without } from "./spans";

type Value = (point: ProcessPoint) => number | null;

/** What a process without a sample had, after a sample with a value. */
type Hold = (value: number | null) => number | null;

const seconds = (point: ProcessPoint) => Date.parse(point.timestamp) / 1000;

/**
 * Converts sparse samples. A process without a sample did not change, so this adds a point after a sample and one before
 * the next one. hold returns their value for that of the sample before. The line breaks in the machine's gaps: it ends at
 * the last snapshot before a gap, because nothing is known after that. A rate is level in long intervals.
 */
function fill(
  points: readonly ProcessPoint[],
  values: Value[],
  hold: Hold,
  gaps: readonly Gap[],
  isRate = false,
): ChartData {
  const times = points.map(seconds);
  const intervals = points.map(({ interval_ms }) => interval_ms);
  const x: number[] = [];
  const lines: (number | null)[][] = values.map(() => []);
  const add = (at: number, valueOf: (value: Value) => number | null) => {
    x.push(at);
    lines.forEach((line, k) => line.push(values[k] ? valueOf(values[k]) : null));
  };
  let before: ProcessPoint | undefined;
  points.forEach((point, i) => {
    const at = seconds(point);
    if (before) {
      const last = seconds(before);
      const sample = before;
      const held = (value: Value) => hold(value(sample));
      const step = at - last;
      const interval = (point.interval_ms || before.interval_ms) / 1000 || step;
      // The first sample after a gap can have the gap as its interval, or none.
      const usual = Math.min(interval, before.interval_ms / 1000 || step);
      const gap = gaps.find(({ from, to }) => from < 1000 * at && to > 1000 * last);
      const isIdle = step > 1.5 * interval;
      if (gap && (point.interval_ms === 0 || step > 1.5 * usual)) {
        const end = (gap.recordedAt ?? 0) / 1000;
        if (end > last + usual / 2) {
          add(last + usual / 2, held);
          add(end, held);
        }
        add((Math.max(gap.from / 1000, x.at(-1) ?? last) + at) / 2, () => null);
      } else {
        const level = isRate ? levelStart(times, intervals, i) : undefined;
        if (isIdle) {
          add(last + usual / 2, held);
          add(level === undefined ? at - interval / 2 : at - interval, held);
        }
        if (level !== undefined) add(level, (value) => value(point));
      }
    }
    add(at, (value) => value(point));
    before = point;
  });
  return { x, lines, table: { x: times, lines: values.map((value) => points.map(value)) } };
}

/** Converts sparse samples of a rate. A process without a sample was idle, unless its usage is unknown. */
export const fillIdle = (points: readonly ProcessPoint[], values: Value[], gaps: readonly Gap[]): ChartData =>
  fill(points, values, (value) => (value === null ? null : 0), gaps, true);

/** Converts sparse samples of gauges, which keep their value until the next sample. */
export const fillHeld = (points: readonly ProcessPoint[], values: Value[], gaps: readonly Gap[]): ChartData =>
  fill(points, values, (value) => value, gaps);

/** The longest missing time in a bucket between two others that is not a gap, in milliseconds. */
const tolerated = 601_000;

/** Returns how much can be missing in a bucket that is drawn as a whole, in milliseconds. */
function toleranceOf(isInside: boolean, { width, gaps, aggregate }: Run): number {
  if (gaps && (isInside || aggregate)) return Infinity;
  return isInside ? Math.min(tolerated, Math.max(61_000, width / 6)) : 1000;
}

interface Run {
  /** The length of a bucket, in milliseconds. */
  width: number;
  /** The gaps of the machine, or the common ones of several machines; undefined if they are not known. */
  gaps: readonly Gap[] | undefined;
  /** Whether the points are sums over several processes. interval_ms is then the measured time of their machines. */
  aggregate?: boolean | undefined;
  /** The end of the last bucket, if it is not over. */
  now: number;
  /** The start of the process. */
  startedAt?: number | undefined;
}

/**
 * Returns when the values of each bucket are drawn: while the process ran, but not in gaps. Sums of several machines say
 * when they were measured. Otherwise interval_ms says for how long the process ran, so the first and the last bucket of a
 * run can be shorter.
 */
export function runningSpans(points: readonly ProcessPoint[], run: Run): Span[][] {
  const { width, gaps, now, startedAt } = run;
  const times = new Set(points.map(({ timestamp }) => Date.parse(timestamp)));
  const buckets = points.map(({ timestamp, interval_ms }) => {
    const at = Date.parse(timestamp);
    const isInside = times.has(at - width) && times.has(at + width);
    return {
      at,
      measured: interval_ms > 0 ? interval_ms : width, // unknown
      tolerance: toleranceOf(isInside, run),
    };
  });
  return measuredSpans(buckets, width, now, startedAt).map((spans, i) => {
    const from = buckets[i]?.at ?? 0;
    const known = measuredIn(points[i]?.measured, { from, to: Math.min(from + width, now) });
    return without(known ?? spans, gaps ?? []);
  });
}

/** Converts buckets. unknown returns how many processes have an unknown value, which sums leave out. */
export function bucketSeries(
  points: readonly ProcessPoint[],
  spans: readonly Span[][],
  values: Value[],
  unknown?: (point: ProcessPoint) => number | undefined,
): ChartData {
  const at = points.map(({ timestamp }) => Date.parse(timestamp));
  const series = steps(
    at,
    spans,
    values.map((value) => points.map(value)),
  );
  if (!unknown || !points.some(unknown)) return series;
  // The counts are at the same points as the values.
  const counts = steps(at, spans, [points.map((point) => unknown(point) ?? 0)]);
  return {
    ...series,
    unknown: counts.lines[0],
    ...(series.table && { table: { ...series.table, unknown: counts.table?.lines[0] } }),
  };
}

/** Returns the last instant at which a process ran, at the latest the end of the range; undefined if it did not. */
export function lastInstant(
  points: readonly ProcessPoint[],
  width: number,
  end: number,
  startedAt: string | undefined,
): string | undefined {
  const last = points.at(-1);
  if (width === 0) return last && (hasExited(last.state) ? points.at(-2)?.timestamp : iso(end));
  const run = { width, gaps: undefined, now: end, startedAt: startedAt ? Date.parse(startedAt) : undefined };
  const to = runningSpans(points, run).at(-1)?.at(-1)?.to;
  return to === undefined ? undefined : iso(Math.min(to, end));
}
