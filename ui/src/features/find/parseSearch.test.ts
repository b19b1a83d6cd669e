import { describe, expect, test } from "vitest";
import { parseSearch } from "./parseSearch";

// A Monday, in the time zone of the test run.
const now = new Date(2026, 10, 23, 14, 30).getTime();
const local = (day: number, hours: number, minutes = 0, seconds = 0) =>
  new Date(2026, 10, day, hours, minutes, seconds).getTime();
const hour = 3_600_000;

describe("an instant", () => {
  for (const [input, text, at] of [
    ["postgres yesterday at 3", "postgres", local(22, 3)],
    ["postgres yesterday 03:12:05", "postgres", local(22, 3, 12, 5)],
    ["nginx -g daemon at 3pm", "nginx -g daemon", local(22, 15)],
    ["nginx at 3", "nginx", local(23, 3)],
    ["nginx 12 am", "nginx", local(23, 0)],
    ["03:12", "", local(23, 3, 12)],
    ["java 18:00", "java", local(22, 18)],
    ["java friday at 9", "java", local(20, 9)],
    ["java on monday at 9", "java", local(16, 9)],
    ["java 2026-11-01 23:59", "java", local(1, 23, 59)],
    ["java 2 h ago", "java", now - 2 * hour],
    ["java 1.5 hours ago", "java", now - 1.5 * hour],
    ["java 90min ago", "java", now - 1.5 * hour],
    ["java now", "java", now],
    ["java 2026-11-23T03:12:00Z", "java", Date.parse("2026-11-23T03:12:00Z")],
    ["  Java   AT 3 PM ", "Java", local(22, 15)],
  ] as [string, string, number][]) {
    test(input, () => expect(parseSearch(input, now)).toEqual({ text, time: { at } }));
  }
});

describe("a window", () => {
  for (const [input, text, from, to] of [
    ["postgres", "postgres", now - 24 * hour, now],
    ["postgres yesterday", "postgres", local(22, 0), local(23, 0)],
    ["postgres today", "postgres", local(23, 0), now],
    ["postgres last hour", "postgres", now - hour, now],
    ["postgres in the last 3 days", "postgres", now - 72 * hour, now],
    ["postgres 2026-11-03", "postgres", local(3, 0), local(4, 0)],
    // Anything that is not a valid time is part of the text.
    ["sleep 3", "sleep 3", now - 24 * hour, now],
    ["backup 2026-02-31", "backup 2026-02-31", now - 24 * hour, now],
    ["run at 25", "run at 25", now - 24 * hour, now],
    ["cat unknown", "cat unknown", now - 24 * hour, now],
    ["snow", "snow", now - 24 * hour, now],
    ["", "", now - 24 * hour, now],
  ] as [string, string, number, number][]) {
    test(input, () => expect(parseSearch(input, now)).toEqual({ text, time: { from, to } }));
  }
});
