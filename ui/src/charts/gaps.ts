// Finds the times at which a machine recorded nothing, like Coverage in store/query/snapshots.go on the server.
import type { MachineChart } from "../api/client";
import type { ChartData, Values } from "./series";

/** A time without data, in milliseconds since 1970. */
export interface Gap {
  from: number;
  to: number;
}

/** The part of a chart that is loaded, in milliseconds since 1970. */
interface Loaded {
  from: number;
  to: number;
}

const resolutions: Record<string, number> = {
  raw: 0,
  "1m": 60_000,
  "1h": 3_600_000,
  "3h": 10_800_000,
  "1d": 86_400_000,
};

/** The longest polling interval. A longer interval of a snapshot is the length of a gap. */
const longestInterval = 3_600_000;

/** How long the values of a snapshot are valid whose interval is unknown. */
const unknownIntervalTolerance = 600_000;

/** The time that a point of a chart covers, and until when its values are valid if no other point follows. */
interface Span {
  from: number;
  to: number;
  valid: number;
}

function spanOf(chart: MachineChart, i: number, width: number): Span {
  const samples = chart.samples[i] ?? 1;
  const interval = (chart.interval_ms[i] ?? 0) / Math.max(1, samples);
  // The first snapshot after a gap may have the gap as its interval, but its CPU usage is unknown.
  const measured = chart.cpu_usage_avg[i] !== null && samples <= 1 ? interval : 0;
  const to = Date.parse(chart.timestamps[i] ?? "") + width;
  const tolerance = interval > 0 ? 2 * Math.min(interval, longestInterval) + 1000 : unknownIntervalTolerance;
  return { from: to - Math.max(width, measured), to, valid: to + tolerance };
}

/** Returns the gaps of a chart in the part that is loaded, the earliest first. */
export function findGaps(chart: MachineChart, resolution: string, loaded: Loaded): Gap[] {
  const width = resolutions[resolution] ?? 0;
  const gaps: Gap[] = [];
  const add = (from: number, to: number) => {
    if (from < to) gaps.push({ from, to });
  };
  let valid: number | undefined;
  chart.timestamps.forEach((_, i) => {
    const span = spanOf(chart, i, width);
    // The snapshot before the first point is not loaded. Its values may still be valid at the start.
    if (valid !== undefined) add(valid, span.from);
    else if (span.from - loaded.from > span.valid - span.to) add(loaded.from, span.from);
    valid = span.valid;
  });
  add(valid ?? loaded.from, loaded.to);
  return gaps;
}

/** Returns the data of a chart with a point without values in each gap, so that no line is drawn across it. */
export function breakAtGaps(x: readonly number[], lines: readonly Values[], gaps: readonly Gap[]): ChartData {
  const out: ChartData = { x: [], lines: lines.map(() => []) };
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
