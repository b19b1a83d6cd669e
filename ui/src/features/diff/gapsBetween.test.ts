import { expect, test } from "vitest";
import { join, partsOf } from "./gapsBetween";

test("the parts of a range", () => {
  expect(partsOf({ from: 15, to: 47 }, 10)).toEqual({
    start: { from: 15, to: 20 },
    middle: { from: 20, to: 40 },
    end: { from: 40, to: 47 },
  });
  expect(partsOf({ from: 10, to: 40 }, 10).start).toEqual({ from: 10, to: 10 });
  for (const width of [0, 100]) {
    expect(partsOf({ from: 15, to: 47 }, width).middle).toEqual({ from: 15, to: 47 });
  }
});
test("gaps that touch are one", () => {
  expect(
    join([
      { from: 1, to: 5, width: 0 },
      { from: 5, to: 9, width: 10 },
      { from: 12, to: 13, width: 10 },
    ]),
  ).toEqual([
    { from: 1, to: 9, width: 10 },
    { from: 12, to: 13, width: 10 },
  ]);
});
