import { expect, test } from "vitest";
import type { MachineChart } from "../api/client";
import { breakAtGaps, commonGaps, drawnSpans, findGaps } from "./gaps";

const start = Date.parse("2026-11-23T03:00:00Z");
const second = 1000;
const minute = 60_000;
const hour = 3_600_000;
const day = 86_400_000;

/** A chart of points: seconds after the start, interval in milliseconds, CPU usage, and number of snapshots. */
type Point = [at: number, intervalMs: number, cpu?: number | null, samples?: number];
const chartOf = (points: Point[]) =>
  ({
    timestamps: points.map(([at]) => new Date(start + at * second).toISOString()),
    interval_ms: points.map(([, intervalMs]) => intervalMs),
    cpu_usage_avg: points.map(([, , cpu = 5]) => cpu),
    samples: points.map(([, , , samples = 1]) => samples),
  }) as unknown as MachineChart;

/** Returns the gaps in seconds after the start. */
const gapsOf = (points: Point[], resolution: string, loaded: { from: number; to: number }, now = loaded.to) =>
  findGaps(chartOf(points), resolution, { ...loaded, now }).map(({ from, to }) => [
    (from - start) / second,
    (to - start) / second,
  ]);

test("snapshots without a gap", () => {
  const points: Point[] = [5, 10, 15, 20].map((at) => [at, 5000]);
  expect(gapsOf(points, "raw", { from: start, to: start + 24 * second })).toEqual([]);
});

test("a gap between snapshots, whatever its length", () => {
  const loaded = { from: start, to: start + 30 * second };
  expect(
    gapsOf(
      [
        [5, 5000],
        [25, 20_000, null],
        [30, 5000],
      ],
      "raw",
      loaded,
    ),
  ).toEqual([[16, 25]]);
  const weeks = 21 * 86_400;
  expect(
    gapsOf(
      [
        [5, 5000],
        [weeks, 5000, null],
      ],
      "raw",
      { from: start, to: start + 21 * day },
    ),
  ).toEqual([[16, weeks]]);
});

test("a long interval that was measured is not a gap", () => {
  const points: Point[] = [
    [5, 5000],
    [605, 600_000],
    [1205, 600_000],
  ];
  expect(gapsOf(points, "raw", { from: start, to: start + 1300 * second })).toEqual([]);
});

test("snapshots without intervals have gaps of more than ten minutes", () => {
  const points: Point[] = [60, 120, 180, 3600].map((at) => [at, 0, null]);
  expect(gapsOf(points, "raw", { from: start, to: start + hour })).toEqual([[780, 3600]]);
});

test("gaps at the start and at the end of what is loaded", () => {
  expect(
    gapsOf(
      [
        [600, 5000],
        [605, 5000],
      ],
      "raw",
      { from: start, to: start + hour },
    ),
  ).toEqual([
    [0, 595],
    [616, 3600],
  ]);
  expect(gapsOf([], "raw", { from: start, to: start + hour })).toEqual([[0, 3600]]);
});

test("missing buckets are a gap, unless the interval is longer than a bucket", () => {
  const loaded = { from: start, to: start + 5 * minute };
  expect(
    gapsOf(
      [
        [0, minute, 5, 12],
        [60, minute, 5, 12],
        [240, minute, 5, 12],
      ],
      "1m",
      loaded,
    ),
  ).toEqual([[131, 240]]);
  expect(
    gapsOf(
      [
        [0, minute],
        [60, minute],
        [180, minute],
        [240, minute],
      ],
      "1m",
      loaded,
    ),
  ).toEqual([]);
  expect(
    gapsOf(
      [
        [0, hour, 5, 1],
        [3600, hour, 5, 1],
      ],
      "1m",
      { from: start, to: start + hour },
    ),
  ).toEqual([]);
});

/** Buckets of an hour: hours after the start, minutes that were measured, and the interval of snapshots in seconds. */
const hours = (buckets: [at: number, measured: number][], interval = 60): Point[] =>
  buckets.map(([at, measured]) => [at * 3600, measured * minute, 5, (measured * 60) / interval]);
const inHours = (gaps: (number | undefined)[][]) => gaps.map((gap) => gap.map((at = 0) => at / 3600));

test("a gap of almost two buckets", () => {
  const day = { from: start, to: start + 5 * hour };
  const points = hours([
    [0, 60],
    [1, 5],
    [2, 5],
    [3, 60],
    [4, 60],
  ]);
  expect(gapsOf(points, "1h", day)).toEqual([[3600 + 300 + 121, 3 * 3600 - 300]]);
  const [chart, gaps] = [chartOf(points), findGaps(chartOf(points), "1h", { ...day, now: day.to })];
  const drawn = drawnSpans(chart, hour, day.to, gaps).map((spans) => spans.map(({ from, to }) => [from, to]));
  expect(drawn.map((spans) => spans.map((span) => span.map((ms) => (ms - start) / second)))).toEqual([
    [[0, 3600]],
    [[3600, 3600 + 421]],
    [[3 * 3600 - 300, 3 * 3600]],
    [[3 * 3600, 4 * 3600]],
    [[4 * 3600, 5 * 3600]],
  ]);
});

test("a gap in a bucket, at its end, and over whole buckets", () => {
  const loaded = { from: start, to: start + 5 * hour };
  const gaps = (buckets: [number, number][], interval = 5) => inHours(gapsOf(hours(buckets, interval), "1h", loaded));
  const round = (list: number[][]) => list.map((gap) => gap.map((h) => Math.round(h * 10) / 10));
  const rest: [number, number][] = [
    [2, 60],
    [3, 60],
    [4, 60],
  ];
  expect(round(gaps([[0, 60], [1, 30], ...rest]))).toEqual([[1.3, 1.8]]);
  expect(round(gaps([[0, 60], [1, 30], ...rest.slice(1)]))).toEqual([[1.5, 3]]);
  expect(round(gaps([[0, 60], [1, 60], ...rest.slice(1)]))).toEqual([[2, 3]]);
  // The interval of a snapshot can begin in the bucket before.
  expect(gaps([[0, 60], [1, 50], [2, 70], ...rest.slice(1)], 600)).toEqual([]);
  expect(gaps([[0, 60], [1, 59.9], ...rest])).toEqual([]);
});

test("the bucket that is not over, and the rest of one after which nothing came", () => {
  const points = hours([
    [0, 60],
    [1, 20],
  ]);
  expect(gapsOf(points, "1h", { from: start, to: start + hour + 21 * minute })).toEqual([]);
  expect(gapsOf(points, "1h", { from: start, to: start + 2 * hour })).toEqual([[3600 + 1200 + 121, 7200]]);
});

test("buckets without intervals", () => {
  const points: Point[] = [0, 1, 2].map((at) => [at * 3600, 0, null, at === 1 ? 1 : 12]);
  // A single snapshot is valid for ten minutes.
  expect(gapsOf(points, "1h", { from: start, to: start + 3 * hour })).toHaveLength(1);
  const frequent: Point[] = [0, 1, 2].map((at) => [at * 3600, 0, null, 12]);
  expect(gapsOf(frequent, "1h", { from: start, to: start + 3 * hour })).toEqual([]);
});

test("a snapshot with an unknown interval is valid for as long as those around it", () => {
  const points: Point[] = [
    [5, 5000],
    [600, 0, null],
    [1200, 0, null],
  ];
  expect(gapsOf(points, "raw", { from: start, to: start + 1205 * second })).toEqual([
    [16, 600],
    [611, 1200],
  ]);
});

test("an interval that is longer than a bucket is drawn as a whole", () => {
  const points: Point[] = [
    [60, 2 * minute, 5, 1],
    [180, 2 * minute, 5, 1],
  ];
  expect(drawnSpans(chartOf(points), minute, start + hour, []).flat()).toEqual([
    { from: start + minute, to: start + 2 * minute },
    { from: start + 2 * minute, to: start + 4 * minute },
  ]);
});

test("no line is drawn across a gap", () => {
  const x = [0, 5, 60, 65];
  const gaps = [{ from: 16_000, to: 60_000 }];
  expect(breakAtGaps(x, [[1, 2, 3, 4]], gaps)).toMatchObject({ x: [0, 5, 38, 60, 65], lines: [[1, 2, null, 3, 4]] });
  // Gaps before the first point and after the last one need no point.
  const outer = [{ from: -50_000, to: -10_000 }, ...gaps, { from: 76_000, to: 90_000 }];
  expect(breakAtGaps(x, [[1, 2, 3, 4]], outer).x).toEqual([0, 5, 38, 60, 65]);
  expect(breakAtGaps([], [[]], outer)).toMatchObject({ x: [], lines: [[]] });
});

test("the common gaps of machines", () => {
  const gaps = (...list: [number, number][]) => list.map(([from, to]) => ({ from, to }));
  const first = gaps([0, 5], [10, 20], [30, 40]);
  expect(commonGaps([first])).toEqual(first);
  expect(commonGaps([first, gaps([4, 12], [15, 16], [20, 30], [35, 50])])).toEqual(
    gaps([4, 5], [10, 12], [15, 16], [35, 40]),
  );
  expect(commonGaps([first, [], first])).toEqual([]);
  expect(commonGaps([])).toEqual([]);
});

test("a gap says when the machine still recorded, and an export has no row of a gap", () => {
  const loaded = { from: start, to: start + 10 * minute, now: start + 10 * minute };
  const raw = chartOf([
    [60, minute],
    [120, minute],
    [480, minute],
  ]);
  expect(findGaps(raw, "raw", loaded).map((gap) => gap.recordedAt)).toEqual([start + 2 * minute]);
  // Where in its bucket the last snapshot is, is not known.
  expect(findGaps(raw, "1m", loaded).map((gap) => gap.recordedAt)).toEqual([start + 2 * minute]);
  const empty = findGaps(chartOf([]), "raw", loaded);
  expect(empty.map((gap) => gap.recordedAt)).toEqual([undefined]);
  const x = [60, 120, 480];
  expect(breakAtGaps(x, [[1, 2, 3]], [{ from: 240_000, to: 420_000 }])).toEqual({
    x: [60, 120, 330, 480],
    lines: [[1, 2, null, 3]],
    table: { x, lines: [[1, 2, 3]] },
  });
});
