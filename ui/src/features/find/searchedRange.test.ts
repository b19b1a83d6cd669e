import { expect, test } from "vitest";
import { isExtended } from "./searchedRange";

const requested = { from: "2026-11-26T08:00:00.000Z", to: "2026-11-26T14:41:48.000Z" };

test("a range that ends at the server's present time is not extended", () => {
  expect(isExtended(requested, requested)).toBe(false);
  expect(isExtended(requested, { ...requested, to: "2026-11-26T14:41:48.070Z" })).toBe(false);
  expect(isExtended(requested, { ...requested, to: "2026-11-26T14:41:40.000Z" })).toBe(false);
});

test("a range can be extended at both ends, also up to the present time", () => {
  expect(isExtended({ ...requested, from: "2026-11-26T08:00:01.000Z" }, requested)).toBe(true);
  expect(isExtended(requested, { ...requested, to: "2026-11-26T15:00:00.000Z" })).toBe(true);
  expect(isExtended(requested, { ...requested, to: "2026-11-26T14:55:00.000Z" })).toBe(true);
  expect(
    isExtended({ ...requested, to: "2026-11-26T13:59:59.000Z" }, { ...requested, to: "2026-11-26T14:00:00Z" }),
  ).toBe(true);
});
