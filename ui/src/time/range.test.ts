import { expect, test } from "vitest";
import { liveEnd, parseInstant, parseRange, resolveWindow, zoomRange } from "./range";

const now = Date.parse("2026-11-23T03:12:00Z");
const hour = 3_600_000;

test("an instant is in RFC 3339 or in milliseconds", () => {
  expect(parseInstant(1000)).toBe("1970-01-01T00:00:01.000Z");
  expect(parseInstant("2026-11-23T04:12:00+01:00")).toBe("2026-11-23T03:12:00.000Z");
  expect(parseInstant("0000-01-01T00:00:00Z")).toBe("0000-01-01T00:00:00.000Z");
  for (const value of ["noon", 1e300, 8.6e15, "-000001-12-31T23:59:59Z", "+010000-01-01T00:00:00Z", {}])
    expect(parseInstant(value)).toBeUndefined();
});

test("invalid ranges in a URL are ignored", () => {
  expect(parseRange({ span: "1w", from: "noon" })).toEqual({ span: "1w" });
  expect(parseRange({ span: "9y" })).toEqual({});
  expect(parseRange({ from: now - hour, to: now })).toEqual({
    from: "2026-11-23T02:12:00.000Z",
    to: "2026-11-23T03:12:00.000Z",
  });
  expect(parseRange({ from: now, to: now - hour })).toEqual({});
});

test("a span ends now, does not move while an instant is selected, and is centered on an earlier instant", () => {
  expect(resolveWindow({}, now)).toEqual({ from: now - hour, to: now, moving: true });
  expect(resolveWindow({ span: "3h" }, now, now - hour)).toEqual({ from: now - 3 * hour, to: now, moving: false });
  expect(resolveWindow({}, now, now - 10 * hour)).toEqual({
    from: now - 10.5 * hour,
    to: now - 9.5 * hour,
    moving: false,
  });
  expect(resolveWindow(parseRange({ from: now - hour, to: now }), now + hour, 5)).toEqual({
    from: now - hour,
    to: now,
    moving: false,
  });
});

test("a zoomed range has at least ten seconds", () => {
  const { from = "", to = "" } = zoomRange(now, now + 10);
  expect(Date.parse(to) - Date.parse(from)).toBe(10_000);
  expect(zoomRange(now, now + hour)).toEqual({
    from: new Date(now).toISOString(),
    to: new Date(now + hour).toISOString(),
  });
});

test("the end of a range in the future is not now", () => {
  const fixed = (end: number) => ({ from: now - hour, to: end, moving: false });
  expect(liveEnd(fixed(now + hour), now, 5000)).toEqual({ live: now, endsNow: false });
  expect(liveEnd(fixed(now), now, 5000)).toEqual({ live: now, endsNow: true });
  expect(liveEnd(fixed(now - 9000), now, 5000)).toEqual({ live: now - 9000, endsNow: true });
  expect(liveEnd(fixed(now - 11_000), now, 5000)).toEqual({ live: undefined, endsNow: false });
  // The clock of the page may be behind the last snapshot, which is the end of a moving window.
  expect(liveEnd({ ...fixed(now + 60_000), moving: true }, now, 5000)).toEqual({ live: now + 60_000, endsNow: true });
});
