import { expect, test } from "vitest";
import type { ProcessPoint } from "../api/client";
import { fillIdle } from "./processSeries";

const at = (second: number, cpu: number) =>
  ({ timestamp: new Date(1000 * second).toISOString(), cpu_usage: cpu }) as ProcessPoint;
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
