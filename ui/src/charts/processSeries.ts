// From the points of a process's life to columns of charts.
import type { ProcessPoint } from "../api/client";
import { type Columns, withGaps } from "./series";

/** Every process is told of at least once a minute: a longer silence is a gap, in seconds. */
const silence = 130;

/**
 * Samples are sparse: where one is missing nothing was spent, and levels have held.
 * Says so with points of 0 just after a sample and just before the next.
 */
export function fillIdle(points: readonly ProcessPoint[], value: (point: ProcessPoint) => number | null): Columns {
  const x: number[] = [];
  const line: (number | null)[] = [];
  const times = points.map((point) => Date.parse(point.timestamp) / 1000);
  const usual = times.reduce(
    (least, at, i) => (i > 0 ? Math.min(least, at - times[i - 1]!) : least),
    Number.POSITIVE_INFINITY,
  );
  points.forEach((point, i) => {
    const at = times[i]!;
    const before = times[i - 1];
    if (before !== undefined && at - before > 1.5 * usual) {
      const idle = at - before > silence ? null : 0;
      x.push(before + usual / 2, at - usual / 2);
      line.push(idle, idle);
    }
    x.push(at);
    line.push(value(point));
  });
  return { x, lines: [line] };
}

/** Levels, which hold from sample to sample. */
export function levels(points: readonly ProcessPoint[], values: ((point: ProcessPoint) => number | null)[]): Columns {
  return withGaps(
    points.map((point) => Date.parse(point.timestamp) / 1000),
    values.map((value) => points.map(value)),
  );
}
