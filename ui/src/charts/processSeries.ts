// Converts the history of a process to chart data.
import type { ProcessPoint } from "../api/client";
import { type ChartData, withGaps } from "./series";

type Value = (point: ProcessPoint) => number | null;

/** The longest time without a sample, in seconds. Every process has at least one sample per minute. */
const longestSilence = 130;

const seconds = (point: ProcessPoint) => Date.parse(point.timestamp) / 1000;

/**
 * Converts sparse samples of a rate. A process without a sample was idle, so this adds points with the
 * value 0 after a sample and before the next one. If the time between them is too long, it is a gap.
 */
export function fillIdle(points: readonly ProcessPoint[], value: Value): ChartData {
  const x: number[] = [];
  const line: (number | null)[] = [];
  const times = points.map(seconds);
  const steps = times.slice(1).map((at, i) => at - (times[i] ?? at));
  const interval = Math.min(...steps);
  let before: number | undefined;
  for (const point of points) {
    const at = seconds(point);
    if (before !== undefined && at - before > 1.5 * interval) {
      const idle = at - before > longestSilence ? null : 0;
      x.push(before + interval / 2, at - interval / 2);
      line.push(idle, idle);
    }
    x.push(at);
    line.push(value(point));
    before = at;
  }
  return { x, lines: [line] };
}

/** Converts gauges, which keep their value from sample to sample. */
export function gaugeSeries(points: readonly ProcessPoint[], values: Value[]): ChartData {
  return withGaps(
    points.map(seconds),
    values.map((value) => points.map(value)),
  );
}
