import { expect, test } from "vitest";
import { backoff } from "./socket";

test("the backoff doubles up to a maximum, with jitter", () => {
  expect(backoff(0, 0)).toBe(250);
  expect(backoff(0, 1)).toBe(500);
  expect(backoff(2, 1)).toBe(2000);
  expect(backoff(50, 1)).toBe(10_000);
  expect(backoff(50, 0)).toBe(5000);
});
