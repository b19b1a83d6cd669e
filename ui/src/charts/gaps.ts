// Finds the times at which a machine recorded nothing, like Coverage in store/query/snapshots.go on the server.
import type { MachineChart, MachineHistory } from "../api/client";
import type { ChartData, Values } from "./series";
import { type Bucket, type Span, measuredSpans, widthOf, without } from "./spans";

/** A time without data, in milliseconds since 1970. */
export interface Gap extends Span {
  /**
   * An instant at which the machine still recorded: that of the last snapshot before the gap, or the start of its bucket.
   * It is undefined if nothing before the gap is loaded.
   */
  recordedAt?: number | undefined;
}

/** The part of a chart that is loaded, in milliseconds since 1970. */
interface Loaded extends Span {
  /** When it was loaded. A bucket that ends later is not complete yet. */
  now: number;
}

/** The longest polling interval. A longer interval of a snapshot is the length of a gap. */
const longestInterval = 3_600_000;

/** How long the values of a snapshot are valid if the machine's interval is unknown. */
const unknownIntervalTolerance = 600_000;

/** How long the values at the end of a point are valid if no other point follows. */
const toleranceOf = (interval: number) =>
  interval > 0 ? 2 * Math.min(interval, longestInterval) + 1000 : unknownIntervalTolerance;

/** A point of a chart: the average interval of its snapshots, 0 if it is unknown, and the time that they measured. */
interface Measurement {
  at: number;
  samples: number;
  interval: number;
  measured: number;
}

function measurements(chart: MachineChart): Measurement[] {
  const list = chart.timestamps.map((timestamp, i) => {
    const samples = Math.max(1, chart.samples[i] ?? 1);
    const total = chart.interval_ms[i] ?? 0;
    // The first snapshot after a gap may have the gap as its interval, but its CPU usage is unknown.
    const measured = samples > 1 || chart.cpu_usage_avg[i] !== null ? total : 0;
    return { at: Date.parse(timestamp), samples, interval: total / samples, measured };
  });
  // The interval of the first snapshot after a gap is unknown. It is about that of the snapshots around it.
  let usual = list.find(({ measured }) => measured > 0)?.interval;
  return list.map((one) => {
    if (one.measured > 0) usual = one.interval;
    return { ...one, interval: one.measured > 0 ? one.interval : (usual ?? one.interval) };
  });
}

/** Returns the times that each point of a chart measured. */
function spansOf(points: readonly Measurement[], width: number, now: number): Span[][] {
  if (width === 0) return points.map(({ at, measured }) => [{ from: at - measured, to: at }]);
  const buckets = points.map(({ at, samples, interval, measured }): Bucket => ({
    at,
    measured:
      measured > 0
        ? Math.min(measured, width + longestInterval)
        : Math.min(width, (samples - 1) * toleranceOf(interval)),
    // The clocks of intervals and of timestamps may differ by a thousandth.
    tolerance: toleranceOf(interval) + width / 1000,
  }));
  return measuredSpans(buckets, width, now);
}

/**
 * Returns the gaps of a chart in the part that is loaded, the earliest first. Where a gap is in a bucket is only known
 * to the length of the bucket.
 */
export function findGaps(chart: MachineChart, resolution: string, loaded: Loaded): Gap[] {
  const gaps: Gap[] = [];
  let recordedAt: number | undefined;
  const add = (from: number, to: number) => {
    const gap = { from: Math.max(from, loaded.from), to: Math.min(to, loaded.to), recordedAt };
    if (gap.from < gap.to) gaps.push(gap);
  };
  const points = measurements(chart);
  let valid: number | undefined;
  spansOf(points, widthOf(resolution), loaded.now).forEach((spans, i) => {
    const tolerance = toleranceOf(points[i]?.interval ?? 0);
    for (const span of spans) {
      // The snapshot before the first point is not loaded. Its values may still be valid at the start.
      if (valid !== undefined) add(valid, span.from);
      else if (span.from - loaded.from > tolerance) add(loaded.from, span.from);
      valid = span.to + tolerance;
      recordedAt = points[i]?.at;
    }
  });
  add(valid ?? loaded.from, loaded.to);
  return gaps;
}

/** Returns the times that are in a gap of every machine. */
export const commonGaps = (machines: readonly (readonly Gap[])[]): Gap[] =>
  machines.reduce<Gap[]>((common, gaps, i) => (i === 0 ? [...gaps] : without(common, without(common, gaps))), []);

/** Returns the gaps of a machine's history that was loaded at a time, with the chart extended by live snapshots. */
export function gapsOf(history: MachineHistory, now: number, chart = history.series): Gap[] {
  const last = chart.timestamps.at(-1) ?? history.to;
  const to = Math.min(Date.parse(history.truncated ? last : history.to), now);
  return findGaps(chart, history.resolution, { from: Date.parse(history.from), to, now });
}

/**
 * Returns when the values of each bucket of a machine's chart are drawn: in the whole bucket, and also before it if an
 * interval began there, but not in gaps.
 */
export function drawnSpans(chart: MachineChart, width: number, now: number, gaps: readonly Gap[]): Span[][] {
  let end: number | undefined;
  return chart.timestamps.map((timestamp) => {
    const at = Date.parse(timestamp);
    const gap = gaps.findLast(({ from, to }) => from < at && to > (end ?? at));
    const from = Math.min(at, gap?.to ?? end ?? at);
    end = Math.min(at + width, now);
    return without([{ from, to: Math.max(at, end) }], gaps);
  });
}

/** Returns the data of a chart with a point without values in each gap, so that no line is drawn across it. */
export function breakAtGaps(x: readonly number[], lines: readonly Values[], gaps: readonly Gap[]): ChartData {
  const table = { x: [...x], lines: lines.map((line) => [...line]) };
  const out = { x: [] as number[], lines: lines.map((): Values => []), table };
  let next = 0;
  const isBefore = (gap: Gap | undefined, at: number) => gap !== undefined && middleOf(gap) < at;
  x.forEach((at, i) => {
    for (; isBefore(gaps[next], at); next++) {
      const gap = gaps[next];
      if (i === 0 || !gap || middleOf(gap) <= (x[i - 1] ?? 0)) continue;
      out.x.push(middleOf(gap));
      for (const line of out.lines) line.push(null);
    }
    out.x.push(at);
    out.lines.forEach((line, k) => line.push(lines[k]?.[i] ?? null));
  });
  return out;
}

/** Returns the middle of a gap in seconds. */
const middleOf = (gap: Gap) => (gap.from + gap.to) / 2000;
