import { expect, test } from "vitest";
import type { ProcessPoint } from "../../api/client";
import { iso } from "../../time/range";
import { unknownUsage } from "./unknownUsage";

const start = Date.parse("2026-11-23T03:00:00Z");
const history = (points: Partial<ProcessPoint>[]) => ({
  resolution: "1m" as const,
  points: points.map((point, i) => ({
    timestamp: iso(start + i * 60_000),
    interval_ms: 60_000,
    ...point,
  })) as ProcessPoint[],
});

test("sums leave out unknown usage", () => {
  expect(unknownUsage(history([{}, {}]))).toEqual([]);
  const points = [{}, { unknown_cpu_processes: 2 }, { unknown_cpu_processes: 3, unknown_io_processes: 1 }, {}];
  expect(unknownUsage(history(points))).toEqual([
    { kind: "CPU", processes: 3, from: start + 60_000, to: start + 180_000 },
    { kind: "I/O", processes: 1, from: start + 120_000, to: start + 180_000 },
  ]);
});

test("points without measured time are left out", () => {
  expect(unknownUsage(history([{ interval_ms: 0, unknown_cpu_processes: 2 }, {}]))).toEqual([]);
});
