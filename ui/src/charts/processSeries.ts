// Converts the history of a process to chart data.
import type { ProcessPoint } from "../api/client";
import { type ChartData, withGaps } from "./series";

type Value = (point: ProcessPoint) => number | null;

/** The longest time without a sample, in seconds. Agents send every process once a minute. */
const longestSilence = 130;

const seconds = (point: ProcessPoint) => Date.parse(point.timestamp) / 1000;

/**
 * Converts sparse samples. A process without a sample did not change, so this adds a point after a sample and one before
 * the next one. Their value is that of hold, for the sample before. If the time between them is longer than agents are
 * silent and than three of their intervals, it is a gap.
 */
function fill(points: readonly ProcessPoint[], value: Value, hold: Value): ChartData {
  const x: number[] = [];
  const line: (number | null)[] = [];
  const times = points.map(seconds);
  const steps = times.slice(1).map((at, i) => at - (times[i] ?? at));
  const interval = Math.min(...steps);
  let before: ProcessPoint | undefined;
  for (const point of points) {
    const at = seconds(point);
    const step = before ? at - seconds(before) : 0;
    if (before && step > 1.5 * interval) {
      const silence = Math.max(longestSilence, (3 * point.interval_ms) / 1000);
      const held = step > silence ? null : hold(before);
      x.push(at - step + interval / 2, at - interval / 2);
      line.push(held, held);
    }
    x.push(at);
    line.push(value(point));
    before = point;
  }
  return { x, lines: [line] };
}

/** Converts sparse samples of a rate. A process without a sample was idle. */
export const fillIdle = (points: readonly ProcessPoint[], value: Value): ChartData => fill(points, value, () => 0);

/** Converts sparse samples of gauges, which keep their value until the next sample. */
export function fillHeld(points: readonly ProcessPoint[], values: Value[]): ChartData {
  const series = values.map((value) => fill(points, value, value));
  return { x: series[0]?.x ?? [], lines: series.flatMap(({ lines }) => lines) };
}

/** Converts gauges of buckets. */
export function gaugeSeries(points: readonly ProcessPoint[], values: Value[]): ChartData {
  return withGaps(
    points.map(seconds),
    values.map((value) => points.map(value)),
  );
}
