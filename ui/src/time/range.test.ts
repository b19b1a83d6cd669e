import { expect, test } from "vitest";
import { parseInstant, parseRange, resolveWindow, zoomRange } from "./range";

const now = Date.parse("2026-11-23T03:12:00Z");
const hour = 3_600_000;

test("an instant is in RFC 3339 or in milliseconds", () => {
  expect(parseInstant(1000)).toBe("1970-01-01T00:00:01.000Z");
  expect(parseInstant("2026-11-23T04:12:00+01:00")).toBe("2026-11-23T03:12:00.000Z");
  expect([parseInstant("noon"), parseInstant(1e300), parseInstant({})]).toEqual([undefined, undefined, undefined]);
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
