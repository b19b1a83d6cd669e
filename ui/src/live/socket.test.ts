import { expect, test } from "vitest";
import { backoff } from "./socket";

test("back-off doubles, with jitter, up to a bound", () => {
  expect(backoff(0, 0)).toBe(250);
  expect(backoff(0, 1)).toBe(500);
  expect(backoff(2, 1)).toBe(2000);
  expect(backoff(50, 1)).toBe(10_000);
  expect(backoff(50, 0)).toBe(5000);
});
