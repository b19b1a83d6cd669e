import { expect, test } from "vitest";
import { isShortLived } from "./replay";

const sample = { state: "X", timestamp: "2026-11-27T12:00:05.000Z", interval_ms: 5000 };
const at = (second: number) => `2026-11-27T12:00:0${second}.500Z`;
const later = Date.parse("2026-11-27T12:00:04.000Z");
const earlier = Date.parse("2026-11-27T11:00:00.000Z");

test("a process is short-lived if it ended in its only sample, and started in the interval of it", () => {
  expect(isShortLived([sample], at(1), later)).toBe(true);
  expect(isShortLived([{ ...sample, interval_ms: 1000 }], at(1), later)).toBe(false);
  expect(isShortLived([{ ...sample, interval_ms: 1000 }], at(1), earlier)).toBe(true); // no earlier sample
  expect(isShortLived([{ ...sample, state: "S" }, sample], at(1), earlier)).toBe(false);
  expect(isShortLived([{ ...sample, state: "S" }], at(1), earlier)).toBe(false);
  expect(isShortLived([sample], undefined, earlier)).toBe(false);
  expect(isShortLived([], at(1), earlier)).toBe(false);
});
