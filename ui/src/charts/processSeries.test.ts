import { expect, test } from "vitest";
import type { MachineChart, ProcessPoint } from "../api/client";
import { findGaps } from "./gaps";
import { bucketSeries, fillHeld, fillIdle, lastInstant, runningSpans } from "./processSeries";

const at = (second: number, cpu: number | null, intervalMs = 5000) =>
  ({ timestamp: new Date(1000 * second).toISOString(), cpu_usage: cpu, interval_ms: intervalMs }) as ProcessPoint;
const cpu = (point: ProcessPoint) => point.cpu_usage;
const gap = (from: number, to: number, recordedAt = from) => ({
  from: 1000 * from,
  to: 1000 * to,
  recordedAt: 1000 * recordedAt,
});

test("a process is idle between two samples that are far apart", () => {
  expect(fillIdle([at(0, 5), at(5, 7), at(60, 9)], [cpu], [])).toMatchObject({
    x: [0, 5, 7.5, 57.5, 60],
    lines: [[5, 7, 0, 0, 9]],
  });
});
test("a rate is level in a long interval, and a gauge is not", () => {
  const points = [at(0, 0), at(5, 0), at(107, 9, 102_000), at(112, 0)];
  expect(fillIdle(points, [cpu], [])).toMatchObject({ x: [0, 5, 5.001, 107, 112], lines: [[0, 0, 9, 9, 0]] });
  expect(fillHeld(points, [cpu], [])).toMatchObject({ x: [0, 5, 107, 112], lines: [[0, 0, 9, 0]] });
  // The process was idle before the long interval.
  const idle = [at(0, 4), at(5, 7), at(300, 9, 102_000), at(305, 0)];
  expect(fillIdle(idle, [cpu], [])).toMatchObject({
    x: [0, 5, 7.5, 198, 198.001, 300, 305],
    lines: [[4, 7, 0, 0, 9, 9, 0]],
  });
});
test("a process is idle for as long as the machine has no gap", () => {
  expect(fillIdle([at(0, 5), at(5, 7), at(6000, 9)], [cpu], []).lines).toEqual([[5, 7, 0, 0, 9]]);
  expect(fillHeld([at(0, 5), at(600, 5), at(1200, 5)], [cpu], []).lines[0]).not.toContain(null);
});
test("a gap of the machine is a gap, however short", () => {
  const points = [at(0, 50), at(5, 50), at(105, 50), at(110, 50)];
  expect(fillIdle(points, [cpu], [gap(16, 105, 5)])).toMatchObject({
    x: [0, 5, 60.5, 105, 110],
    lines: [[50, 50, null, 50, 50]],
  });
  expect(fillHeld(points, [cpu], [gap(16, 105, 5)]).lines).toEqual([[50, 50, null, 50, 50]]);
  // A gap of a chart by minute is not exact. It breaks no line between samples that follow each other.
  expect(fillIdle(points, [cpu], [gap(2, 100)]).lines[0]?.filter((value) => value === null)).toHaveLength(1);
});
test("a process was idle until the last snapshot before a gap, in which nothing is known", () => {
  const points = [at(0, 50), at(5, 50), at(105, 50), at(110, 50)];
  expect(fillIdle(points, [cpu], [gap(41, 105, 30)])).toMatchObject({
    x: [0, 5, 7.5, 30, 73, 105, 110],
    lines: [[50, 50, 0, 0, null, 50, 50]],
  });
});
test("a process at 100 % does not fall to 0 % in a gap, whatever the interval", () => {
  for (const step of [60, 600, 1800]) {
    const times = [1, 2, 3, 4, 20, 21, 22].map((i) => i * step);
    const points = times.map((second, i) => at(second, i === 4 ? null : 100, i === 4 ? 0 : 1000 * step));
    const chart = {
      timestamps: points.map((point) => point.timestamp),
      samples: points.map(() => 1),
      interval_ms: points.map((point) => point.interval_ms),
      cpu_usage_avg: points.map(cpu),
    } as unknown as MachineChart;
    const end = 22 * step * 1000;
    const { lines } = fillIdle(points, [cpu], findGaps(chart, "raw", { from: 0, to: end, now: end }));
    expect(lines[0]).toEqual([100, 100, 100, 100, null, null, 100, 100]);
  }
});
test("an export contains the samples, and no points that only shape the line", () => {
  const points = [at(0, 50), at(5, 50), at(60, 9), at(200, 7)];
  for (const fill of [fillIdle, fillHeld]) {
    expect(fill(points, [cpu], [gap(120, 200, 100)]).table).toEqual({ x: [0, 5, 60, 200], lines: [[50, 50, 9, 7]] });
  }
});
test("unknown values stay unknown", () => {
  const io = (point: ProcessPoint) => (point.cpu_usage === null ? null : 2 * point.cpu_usage);
  expect(fillIdle([at(0, null), at(60, 4)], [cpu, io], [])).toMatchObject({
    x: [0, 2.5, 57.5, 60],
    lines: [
      [null, null, null, 4],
      [null, null, null, 8],
    ],
  });
});
test("a gap before a sample with an unknown interval", () => {
  expect(fillIdle([at(0, 5), at(100, null, 0), at(105, 6)], [cpu], [gap(11, 100, 0)]).lines).toEqual([
    [5, null, null, 6],
  ]);
});
test("a gap that is the interval of the sample after it", () => {
  const points = [at(0, 5), at(100, null, 100_000), at(105, 6)];
  expect(fillHeld(points, [() => 4], [gap(11, 100, 0)]).lines).toEqual([[4, null, 4, 4]]);
});
test("no sample, and a single one", () => {
  expect(fillIdle([], [cpu], [])).toMatchObject({ x: [], lines: [[]] });
  expect(fillIdle([at(3, 1)], [cpu], [])).toMatchObject({ x: [3], lines: [[1]] });
});
test("gauges keep their value while a process is idle", () => {
  expect(fillHeld([at(0, 5, 1000), at(1, 7, 1000), at(2, 8, 1000), at(62, 9, 1000)], [cpu, () => 4], [])).toMatchObject(
    {
      x: [0, 1, 2, 2.5, 61.5, 62],
      lines: [
        [5, 7, 8, 8, 8, 9],
        [4, 4, 4, 4, 4, 4],
      ],
    },
  );
});

const hour = 3_600_000;
const minutes = (n: number) => n * 60_000;
const bucket = (h: number, measured = hour) => at(h * 3600, 15, measured);
const run = { width: hour, gaps: undefined, now: 1000 * hour };
const spansIn = (points: ProcessPoint[], options: Partial<Parameters<typeof runningSpans>[1]> = {}) =>
  runningSpans(points, { ...run, ...options }).map((spans) => spans.map(({ from, to }) => [from / hour, to / hour]));

test("a line is drawn only in buckets in which processes ran", () => {
  for (const [hours, breaks] of [
    [[1, 13], 1],
    [[1, 25, 49, 73], 3],
    [[0, 1, 2, 5, 6, 7], 1],
  ] as [number[], number][]) {
    const points = hours.map((h) => bucket(h));
    const { x, lines, table } = bucketSeries(points, runningSpans(points, run), [cpu]);
    expect(lines[0]?.filter((value) => value === null)).toHaveLength(breaks);
    // Each hour is drawn as a whole, also the first one, which can begin before the range.
    expect([x[0], x.at(-1)]).toEqual([(hours[0] ?? 0) * 3600, ((hours.at(-1) ?? 0) + 1) * 3600 - 0.001]);
    expect(table).toEqual({ x: hours.map((h) => h * 3600), lines: [hours.map(() => 15)] });
  }
});
test("a process that ran for a part of a bucket", () => {
  expect(spansIn([bucket(3, minutes(6))], { startedAt: 3.5 * hour })).toEqual([[[3.5, 3.6]]]);
  expect(spansIn([bucket(3, minutes(15)), bucket(4), bucket(5, minutes(30))])).toEqual([
    [[3.75, 4]],
    [[4, 5]],
    [[5, 5.5]],
  ]);
  expect(spansIn([bucket(3), bucket(4, minutes(30))], { now: 4.5 * hour })).toEqual([[[3, 4]], [[4, 4.5]]]);
});
test("the last instant at which a process ran", () => {
  const last = (points: ProcessPoint[], width: number, end: number) =>
    Date.parse(lastInstant(points, width, 1000 * end, undefined) ?? "") / 1000;
  expect(last([at(0, 1), at(60, 2)], 0, 100)).toBe(100);
  expect(last([at(0, 1), { ...at(60, 2), state: "exited" }], 0, 100)).toBe(0);
  expect(last([bucket(3), bucket(4, minutes(10))], hour, 9 * 3600)).toBe(4 * 3600 + 600);
  expect(last([bucket(3), bucket(4)], hour, 4.5 * 3600)).toBe(4.5 * 3600);
  expect(lastInstant([], hour, 0, undefined)).toBeUndefined();
});
test("gaps of the machine are left out", () => {
  const hole = [gap(4.25 * 3600, 5.5 * 3600)];
  expect(spansIn([bucket(3), bucket(4, minutes(15)), bucket(5, minutes(30)), bucket(6)], { gaps: hole })).toEqual([
    [[3, 4]],
    [[4, 4.25]],
    [[5.5, 6]],
    [[6, 7]],
  ]);
  // A sum over machines whose gaps are not known says how much was measured.
  expect(spansIn([bucket(3), bucket(4, minutes(15)), bucket(5, minutes(30)), bucket(6)])).toEqual([
    [[3, 4]],
    [[4, 4.25]],
    [[5.5, 6]],
    [[6, 7]],
  ]);
});
test("a sum over processes is drawn like a chart of their machine", () => {
  const [hole, end] = [4.5 * hour, 4.6 * hour];
  const points = [bucket(3), bucket(4, minutes(54)), bucket(5), bucket(6, minutes(57))];
  const gaps = [
    { from: hole, to: end },
    { from: 6.25 * hour, to: 6.3 * hour },
  ];
  expect(spansIn(points, { gaps, aggregate: true })).toEqual([
    [[3, 4]],
    [
      [4, 4.5],
      [4.6, 5],
    ],
    [[5, 6]],
    [
      [6, 6.25],
      [6.3, 7],
    ],
  ]);
  // Another machine was measured in the hole.
  expect(spansIn([bucket(3), bucket(4, minutes(45)), bucket(5)], { gaps: [], aggregate: true })).toEqual([
    [[3, 4]],
    [[4, 5]],
    [[5, 6]],
  ]);
});

test("sums are drawn where the API says that machines were measured, however many there are", () => {
  const hour = 3_600_000;
  const minutes = (spans: { from: number; to: number }[]) => spans.map(({ from, to }) => [from / 60_000, to / 60_000]);
  const point = (index: number, intervalMinutes: number, ...measured: [number, number][]) => ({
    ...at((index * hour) / 1000, 50, 60_000 * intervalMinutes),
    ...(measured.length > 0 && {
      measured: measured.map(([from, to]) => ({
        from: new Date(60_000 * from).toISOString(),
        to: new Date(60_000 * to).toISOString(),
      })),
    }),
  });
  const drawn = (points: ProcessPoint[], now: number) =>
    runningSpans(points, { width: hour, gaps: undefined, aggregate: true, now: 60_000 * now }).map(minutes);
  expect(drawn([point(1, 31, [80, 120])], 111)).toEqual([[[80, 111]]]);
  expect(drawn([point(1, 60), point(2, 20, [160, 180]), point(3, 40)], 220)).toEqual([
    [[60, 120]],
    [[160, 180]],
    [[180, 220]],
  ]);
});
