import { expect, test } from "vitest";
import type { ProcessMatch } from "../../api/client";
import { processCounts } from "./processCounts";

const match = (count: number) => ({ usages: Array.from({ length: count }, () => ({})) }) as ProcessMatch;

test("the number of processes of a machine is a lower bound if its list was cut", () => {
  const counts = (truncated: boolean, ...results: number[]) =>
    processCounts({ truncated, results: results.map(match) });
  expect(counts(false, 1, 20)).toEqual(["1 process", "20 processes"]);
  expect(counts(true, 1, 999, 999, 500)).toEqual([
    "1 process",
    "≥\u00a0999 processes",
    "≥\u00a0999 processes",
    "500 processes",
  ]);
  expect(counts(true, 1000, 2500, 999)).toEqual(["≥\u00a01,000 processes", "≥\u00a02,500 processes", "999 processes"]);
});
