import { expect, test } from "vitest";
import type { ProcessPoint } from "../api/client";
import { fillHeld, fillIdle } from "./processSeries";

const at = (second: number, cpu: number) =>
  ({ timestamp: new Date(1000 * second).toISOString(), cpu_usage: cpu, interval_ms: 5000 }) as ProcessPoint;
const cpu = (point: ProcessPoint) => point.cpu_usage;

test("a process is idle between two samples that are far apart", () => {
  expect(fillIdle([at(0, 5), at(5, 7), at(60, 9)], cpu)).toEqual({
    x: [0, 5, 7.5, 57.5, 60],
    lines: [[5, 7, 0, 0, 9]],
  });
});
test("a long time without samples is a gap", () => {
  expect(fillIdle([at(0, 5), at(5, 7), at(600, 9)], cpu).lines).toEqual([[5, 7, null, null, 9]]);
});
test("no sample, and a single one", () => {
  expect(fillIdle([], cpu)).toEqual({ x: [], lines: [[]] });
  expect(fillIdle([at(3, 1)], cpu)).toEqual({ x: [3], lines: [[1]] });
});
test("gauges keep their value while a process is idle", () => {
  expect(fillHeld([at(0, 5), at(1, 7), at(2, 8), at(62, 9)], [cpu, () => 4])).toEqual({
    x: [0, 1, 2, 2.5, 61.5, 62],
    lines: [
      [5, 7, 8, 8, 8, 9],
      [4, 4, 4, 4, 4, 4],
    ],
  });
  expect(fillHeld([at(0, 5), at(1, 7), at(600, 9)], [cpu]).lines).toEqual([[5, 7, null, null, 9]]);
});
test("a machine with long intervals has no gaps between its samples", () => {
  const slow = [at(0, 5), at(5, 7), at(600, 9)].map((point) => ({ ...point, interval_ms: 300_000 }));
  expect(fillIdle(slow, cpu).lines).toEqual([[5, 7, 0, 0, 9]]);
});
