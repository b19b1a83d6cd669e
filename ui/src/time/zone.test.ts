import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { clocksChange, fromLocalInput, instantsOf, occursTwice, toLocalInput, toOffsetIso, zoneOffset } from "./zone";

// In Berlin, 2:00 to 3:00 occurs twice on 2025-10-26, and is skipped on 2025-03-30.
beforeEach(() => vi.stubEnv("TZ", "Europe/Berlin"));
afterEach(() => vi.unstubAllEnvs());

const first = Date.parse("2025-10-26T00:30:00Z");
const second = Date.parse("2025-10-26T01:30:00Z");
const hour = 3_600_000;

test("instants at which clocks show a time", () => {
  expect(instantsOf(Date.parse("2025-10-26T02:30:00Z"))).toEqual([first, second]);
  expect(instantsOf(Date.parse("2025-03-30T02:30:00Z"))).toEqual([]);
  expect(instantsOf(Date.parse("2025-07-01T02:30:00Z"))).toEqual([Date.parse("2025-07-01T00:30:00Z")]);
  expect([clocksChange(first, second), clocksChange(second + 4 * hour, second + 9 * hour)]).toEqual([true, false]);
  expect([first - hour, first, second, second + hour].map(occursTwice)).toEqual([false, true, true, false]);
});

test("other time zones", () => {
  vi.stubEnv("TZ", "Australia/Lord_Howe"); // clocks go back by half an hour, from 2:00 to 1:30
  expect(instantsOf(Date.parse("2025-04-06T01:45:00Z")).map((ms) => new Date(ms).toISOString())).toEqual([
    "2025-04-05T14:45:00.000Z",
    "2025-04-05T15:15:00.000Z",
  ]);
  vi.stubEnv("TZ", "UTC");
  expect([first, second].map(occursTwice)).toEqual([false, false]);
});

test("a field that is not changed keeps its instant", () => {
  for (const ms of [first, second + 123, first - hour + 999, Date.parse("2025-03-30T01:00:00.5Z")])
    expect(fromLocalInput(toLocalInput(ms), ms)).toBe(ms);
  // Browsers leave out seconds that are 0.
  expect(fromLocalInput("2025-10-26T02:30", second)).toBe(second);
});

test("a field that is changed keeps its time zone", () => {
  expect(fromLocalInput("2025-10-26T02:31:00", second)).toBe(second + 60_000);
  expect(fromLocalInput("2025-10-26T02:31:00", first)).toBe(first + 60_000);
  expect(fromLocalInput("2025-10-26T02:30:00", Date.parse("2025-12-01T00:00:00Z"))).toBe(second);
  expect(fromLocalInput("2025-03-30T02:30:00", first)).toBe(Date.parse("2025-03-30T01:30:00Z"));
  expect(fromLocalInput("", first)).toBeNaN();
  expect([fromLocalInput("2025-10-26T02:30:00"), fromLocalInput("")]).toEqual([first, Number.NaN]);
});

test("RFC 3339 with an offset", () => {
  expect([toOffsetIso(first, "minute"), toOffsetIso(second, "second")]).toEqual([
    "2025-10-26T02:30+02:00",
    "2025-10-26T02:30:00+01:00",
  ]);
  vi.stubEnv("TZ", "America/St_Johns");
  expect(toOffsetIso(Date.parse("2025-01-01T12:00:00Z"), "minute")).toBe("2025-01-01T08:30-03:30");
});

test("the offset of a time zone label", () => {
  const offset = (label: string) => {
    const ms = zoneOffset(label, first);
    return ms === undefined ? undefined : ms / hour;
  };
  expect(["UTC", "GMT", "z", "GMT+2", "gmt-3:30", "UTC\u22125", "+05:30"].map(offset)).toEqual([
    0, 0, 0, 2, -3.5, -5, 5.5,
  ]);
  expect(["+14:00", "-0930", "GMT+12:45"].map(offset)).toEqual([14, -9.5, 12.75]);
  for (const label of ["-06:03", "+99", "+24:00", "GMT+14:15", "+05:60", "+05:75"])
    expect([label, offset(label)]).toEqual([label, undefined]);
  expect([offset("CEST"), offset("CET"), offset("EST"), offset("java"), offset("")]).toEqual([
    2,
    1,
    undefined,
    undefined,
    undefined,
  ]);
});
