import { expect, test } from "vitest";
import type { MachineChart } from "../api/client";
import { breakAtGaps, findGaps } from "./gaps";

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
const gapsOf = (points: Point[], resolution: string, loaded: { from: number; to: number }) =>
  findGaps(chartOf(points), resolution, loaded).map(({ from, to }) => [(from - start) / second, (to - start) / second]);

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

test("no line is drawn across a gap", () => {
  const x = [0, 5, 60, 65];
  const gaps = [{ from: 16_000, to: 60_000 }];
  expect(breakAtGaps(x, [[1, 2, 3, 4]], gaps)).toEqual({ x: [0, 5, 38, 60, 65], lines: [[1, 2, null, 3, 4]] });
  // Gaps before the first point and after the last one need no point.
  const outer = [{ from: -50_000, to: -10_000 }, ...gaps, { from: 76_000, to: 90_000 }];
  expect(breakAtGaps(x, [[1, 2, 3, 4]], outer).x).toEqual([0, 5, 38, 60, 65]);
  expect(breakAtGaps([], [[]], outer)).toEqual({ x: [], lines: [[]] });
});
