import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { dateTime, timeOfDay, utc } from "../../format";
import { parseSearch } from "./parseSearch";

// A Monday, in the time zone of the test run.
const now = new Date(2026, 10, 23, 14, 30).getTime();
const local = (day: number, hours: number, minutes = 0, seconds = 0) =>
  new Date(2026, 10, day, hours, minutes, seconds).getTime();
const second = 1000;
const minute = 60_000;
const hour = 3_600_000;

describe("an instant", () => {
  for (const [input, text, at] of [
    ["postgres yesterday 03:12:05", "postgres", local(22, 3, 12, 5)],
    ["java now", "java", now],
    ["java right now", "java", now],
    ["java 2026-11-23T03:12:00Z", "java", Date.parse("2026-11-23T03:12:00Z")],
    ["java 2026-11-23t03:12:00.5-05:00", "java", Date.parse("2026-11-23T08:12:00.500Z")],
    ["java 2026-11-23T03:12:05", "java", local(23, 3, 12, 5)],
    ["java 3:12:05 pm on friday", "java", local(20, 15, 12, 5)],
  ] as [string, string, number][]) {
    test(input, () => expect(parseSearch(input, now)).toEqual({ text, time: { at } }));
  }
});

describe("a minute", () => {
  for (const [input, text, from] of [
    ["crunch 13:49", "crunch", local(23, 13, 49)],
    ["crunch 15:49", "crunch", local(22, 15, 49)],
    ["crunch 15:49 yesterday", "crunch", local(22, 15, 49)],
    ["crunch at 15:49 on friday", "crunch", local(20, 15, 49)],
    ["postgres yesterday at 3", "postgres", local(22, 3)],
    ["nginx -g daemon at 3pm", "nginx -g daemon", local(22, 15)],
    ["nginx at 3", "nginx", local(23, 3)],
    ["nginx 12 am", "nginx", local(23, 0)],
    ["03:12", "", local(23, 3, 12)],
    ["java 3 Nov 2026 3:12", "java", local(3, 3, 12)],
    ["java Nov 3, 2026, 3:12 PM", "java", local(3, 15, 12)],
    ["java 18:00", "java", local(22, 18)],
    ["java friday at 9", "java", local(20, 9)],
    ["java on monday at 9", "java", local(16, 9)],
    ["java 2026-11-01 23:59", "java", local(1, 23, 59)],
    ["java 2026-11-23T03:12Z", "java", Date.parse("2026-11-23T03:12:00Z")],
    ["java 2 h ago", "java", now - 2 * hour - 30 * second],
    ["java 1.5 hours ago", "java", now - 1.5 * hour - 30 * second],
    ["java 90min ago", "java", now - 1.5 * hour - 30 * second],
    ["java 5 min ago", "java", now - 5 * minute - 30 * second],
    ["  Java   AT 3 PM ", "Java", local(22, 15)],
    ["tar  czf   yesterday  3:00", "tar  czf", local(22, 3)],
    ["cron nov 20 15:49", "cron", local(20, 15, 49)],
    ["cron 20 nov 15:49", "cron", local(20, 15, 49)],
    ["cron 15:49 on Nov. 20", "cron", local(20, 15, 49)],
    ["cron nov 24 15:49", "cron", new Date(2025, 10, 24, 15, 49).getTime()],
    ["cron 20 November at 3", "cron", local(20, 3)],
    ["cron November 20th, 2026 at 3pm", "cron", local(20, 15)],
    ["cron 20.11.2026 15:49", "cron", local(20, 15, 49)],
    ["cron 20.11. 15:49", "cron", local(20, 15, 49)],
    ["cron 2026/11/20 15:49", "cron", local(20, 15, 49)],
    ["cron mon 2:30", "cron", local(16, 2, 30)],
    ["cron 2:30 Fri", "cron", local(20, 2, 30)],
    ["cron thurs at 3", "cron", local(19, 3)],
    ["cron last monday at 3", "cron", local(16, 3)],
    ["cron 2 days ago at 3", "cron", local(21, 3)],
    ["cron at 15:49 two days ago", "cron", local(21, 15, 49)],
    ["cron a week ago at 15:49", "cron", local(16, 15, 49)],
    ["cron the day before yesterday at 3pm", "cron", local(21, 15)],
    ["cron at noon", "cron", local(23, 12)],
    ["cron yesterday 24:00", "cron", local(23, 0)],
    ["cron around 13:49", "cron", local(23, 13, 49)],
    ["cron an hour ago", "cron", now - hour - 30 * second],
    ["cron half an hour ago", "cron", now - 0.5 * hour - 30 * second],
    ["cron 1h30m ago", "cron", now - 1.5 * hour - 30 * second],
    ["cron 2 hours and 5 minutes ago", "cron", now - 125 * minute - 30 * second],
    ["cron 3 months ago", "cron", new Date(2026, 7, 23, 14, 29, 30).getTime()],
  ] as [string, string, number][]) {
    test(input, () => expect(parseSearch(input, now)).toEqual({ text, time: { from, to: from + minute } }));
  }
  test("ends now if it is not over", () => {
    expect(parseSearch("java 14:30", now + 20 * second)).toEqual({
      text: "java",
      time: { from: now, to: now + 20 * second },
    });
    expect(parseSearch("java 10 s ago", now)).toEqual({
      text: "java",
      time: { from: now - 40 * second, to: now },
    });
  });
});

describe("a range", () => {
  for (const [input, text, from, to] of [
    ["crunch between 13:48 and 13:50", "crunch", local(23, 13, 48), local(23, 13, 50)],
    ["crunch between 15:48 and 15:50", "crunch", local(22, 15, 48), local(22, 15, 50)],
    ["crunch from 13:48 to 13:50:30", "crunch", local(23, 13, 48), local(23, 13, 50, 30)],
    ["crunch 13:48-13:50", "crunch", local(23, 13, 48), local(23, 13, 50)],
    ["crunch 13:48 to 13:50", "crunch", local(23, 13, 48), local(23, 13, 50)],
    ["crunch 6:00 -6:03", "crunch", local(23, 6), local(23, 6, 3)],
    ["crunch 06:00 -07:00", "crunch", local(23, 6), local(23, 7)],
    ["crunch 2026-11-20 06:00-06:03", "crunch", local(20, 6), local(20, 6, 3)],
    ["crunch 2026-11-20 06:03-06:15", "crunch", local(20, 6, 3), local(20, 6, 15)],
    ["crunch 2026-11-20 06:03 -06:15", "crunch", local(20, 6, 3), local(20, 6, 15)],
    ["crunch 2026-11-20 06:00-07:00", "crunch", local(20, 6), local(20, 7)],
    ["crunch today 6:00 -7:00", "crunch", local(23, 6), local(23, 7)],
    ["crunch 6:00 -7:00 today", "crunch", local(23, 6), local(23, 7)],
    ["crunch on friday at 6:00 -7:00", "crunch", local(20, 6), local(20, 7)],
    ["crunch 6:00 friday -7:00", "crunch", local(20, 6), local(20, 7)],
    ["crunch friday at 6 -7:00", "crunch", local(20, 6), local(20, 7)],
    ["crunch yesterday 23:00 -1:00", "crunch", local(22, 23), local(23, 1)],
    ["crunch 20 Nov 2026, 06:00 -07:00", "crunch", local(20, 6), local(20, 7)],
    ["crunch 9am – 10am", "crunch", local(23, 9), local(23, 10)],
    ["crunch between 3 and 5", "crunch", local(23, 3), local(23, 5)],
    ["crunch between 3 and 4pm", "crunch", local(22, 15), local(22, 16)],
    ["crunch between 11 and 1pm", "crunch", local(23, 11), local(23, 13)],
    ["crunch from 14:00 to 15:00", "crunch", local(23, 14), now],
    ["crunch from 23:00 to 1:00", "crunch", local(22, 23), local(23, 1)],
    ["crunch from 23:00 to 24:00", "crunch", local(22, 23), local(23, 0)],
    ["crunch from 22:00 to midnight", "crunch", local(22, 22), local(23, 0)],
    ["crunch from mon to wed", "crunch", local(16, 0), local(19, 0)],
    ["crunch from mon 9:00 to fri 17:00", "crunch", local(16, 9), local(20, 17)],
    ["crunch nov 20 15:00-16:00", "crunch", local(20, 15), local(20, 16)],
    ["crunch nov 20 15:00 -16:00", "crunch", local(20, 15), local(20, 16)],
    ["crunch on nov 20 between 3 and 4pm", "crunch", local(20, 15), local(20, 16)],
    ["crunch between 15:00 and 16:00 on 20 nov", "crunch", local(20, 15), local(20, 16)],
    ["crunch 2 days ago between 3 and 4", "crunch", local(21, 3), local(21, 4)],
    ["crunch from yesterday 23:00 to 1:00", "crunch", local(22, 23), local(23, 1)],
    ["crunch between 23:00 and 1:00 yesterday", "crunch", local(21, 23), local(22, 1)],
    ["crunch between 15:48 and 15:50 on friday", "crunch", local(20, 15, 48), local(20, 15, 50)],
    ["crunch yesterday between 15:48 and 15:50", "crunch", local(22, 15, 48), local(22, 15, 50)],
    ["crunch on friday from 3 to 4", "crunch", local(20, 3), local(20, 4)],
    ["crunch from friday 9:00 to monday 10:00", "crunch", local(20, 9), local(23, 10)],
    ["crunch from 2026-11-20 9:00 to 2026-11-16 10:00", "crunch", local(16, 10), local(20, 9)],
    ["crunch from thursday 9:00 to friday 10:00", "crunch", local(19, 9), local(20, 10)],
    ["crunch from 2026-11-01 to 2026-11-03", "crunch", local(1, 0), local(4, 0)],
    ["crunch from 2026-11-01 23:00 until 2026-11-03", "crunch", local(1, 23), local(4, 0)],
    ["crunch from 3 h ago to 2 h ago", "crunch", now - 3 * hour, now - 2 * hour],
    ["crunch from 13:00 to now", "crunch", local(23, 13), now],
    [
      "crunch from 2026-11-23T03:00:00Z to 2026-11-23T04:00:00Z",
      "crunch",
      Date.UTC(2026, 10, 23, 3),
      Date.UTC(2026, 10, 23, 4),
    ],
    ["mv from a to b between 3:00 and 4:00", "mv from a to b", local(23, 3), local(23, 4)],
    ["between 13:50 and 13:50", "", local(23, 13, 50), local(23, 13, 51)],
  ] as [string, string, number, number][]) {
    test(input, () => expect(parseSearch(input, now)).toEqual({ text, time: { from, to } }));
  }
});

describe("a window", () => {
  for (const [input, text, from, to, unparsed] of [
    ["postgres", "postgres", now - 24 * hour, now],
    ["postgres yesterday", "postgres", local(22, 0), local(23, 0)],
    ["postgres today", "postgres", local(23, 0), now],
    ["postgres last hour", "postgres", now - hour, now],
    ["postgres past hour", "postgres", now - hour, now],
    ["postgres over the last 90 min", "postgres", now - 1.5 * hour, now],
    ["postgres last two hours", "postgres", now - 2 * hour, now],
    ["postgres during the past 1h30m", "postgres", now - 1.5 * hour, now],
    ["postgres last month", "postgres", new Date(2026, 9, 23, 14, 30).getTime(), now],
    ["postgres since 13:50", "postgres", local(23, 13, 50), now],
    ["postgres since 15:50", "postgres", local(22, 15, 50), now],
    ["postgres since yesterday", "postgres", local(22, 0), now],
    ["postgres since mon", "postgres", local(16, 0), now],
    ["postgres since friday 9:00", "postgres", local(20, 9), now],
    ["postgres since 3", "postgres", local(23, 3), now],
    ["postgres since an hour ago", "postgres", now - hour, now],
    ["postgres since midnight", "postgres", local(23, 0), now],
    ["postgres after 13:00", "postgres", local(23, 13), now],
    ["postgres last friday", "postgres", local(20, 0), local(21, 0)],
    ["postgres on fri", "postgres", local(20, 0), local(21, 0)],
    ["postgres 20th of november", "postgres", local(20, 0), local(21, 0)],
    ["postgres 20.11.2026", "postgres", local(20, 0), local(21, 0)],
    ["postgres 2026/11/20", "postgres", local(20, 0), local(21, 0)],
    ["postgres the day before yesterday", "postgres", local(21, 0), local(22, 0)],
    ["postgres in the last 3 days", "postgres", now - 72 * hour, now],
    ["postgres 2026-11-03", "postgres", local(3, 0), local(4, 0)],
    // Anything that is not a valid time is part of the text.
    ["sleep 3", "sleep 3", now - 24 * hour, now],
    ["backup 2026-02-31", "backup 2026-02-31", now - 24 * hour, now, "2026-02-31"],
    ["run at 25", "run at 25", now - 24 * hour, now],
    ["cat unknown", "cat unknown", now - 24 * hour, now],
    ["postgres 3 Nov 2026", "postgres", local(3, 0), local(4, 0)],
    ["postgres Nov 3", "postgres", local(3, 0), local(4, 0)],
    ["java est", "java est", now - 24 * hour, now],
    ["java 13:00 +99", "java 13:00 +99", now - 24 * hour, now, "13:00"],
    ["java 13:00 +24:00", "java 13:00 +24:00", now - 24 * hour, now, "13:00"],
    [
      "java 2026-11-20T13:00:00+23:00",
      "java 2026-11-20T13:00:00+23:00",
      now - 24 * hour,
      now,
      "2026-11-20T13:00:00+23:00",
    ],
    ["python 3.11", "python 3.11", now - 24 * hour, now],
    ["snow", "snow", now - 24 * hour, now],
    ["mv from a to b", "mv from a to b", now - 24 * hour, now],
    ["nginx 1-2", "nginx 1-2", now - 24 * hour, now],
    ["cp from 25:00 to 26:00", "cp from 25:00 to 26:00", now - 24 * hour, now, "25:00"],
    ["ticker 5 min", "ticker 5 min", now - 24 * hour, now, "5 min"],
    // No date can have these times.
    ["java 9999999999 h ago", "java 9999999999 h ago", now - 24 * hour, now, "9999999999 h ago"],
    ["java 99999999 h ago", "java 99999999 h ago", now - 24 * hour, now, "99999999 h ago"],
    [
      `java ${"9".repeat(400)} s ago`,
      `java ${"9".repeat(400)} s ago`,
      now - 24 * hour,
      now,
      `${"9".repeat(400)} s ago`,
    ],
    ["java last 99999999999 days", "java last 99999999999 days", now - 24 * hour, now, "last 99999999999 days"],
    [
      "java from 9999999999 h ago to 15:00",
      "java from 9999999999 h ago to",
      local(22, 15),
      local(22, 15, 1),
      "9999999999 h ago",
    ],
    ["java from 9999-12-30 to 9999-12-31", "java from 9999-12-30 to 9999-12-31", now - 24 * hour, now, "9999-12-30"],
    ["", "", now - 24 * hour, now],
    // What looks like a time, but is not understood.
    ["cron last night", "cron last night", now - 24 * hour, now, "last night"],
    ["cron Tomorrow 15:00", "cron Tomorrow", local(22, 15), local(22, 15, 1), "Tomorrow"],
    ["cron a few minutes ago", "cron a few minutes ago", now - 24 * hour, now, "ago"],
    ["cron since 2027-01-01", "cron since 2027-01-01", now - 24 * hour, now, "2027-01-01"],
    ["cron nov 31 13:49", "cron nov 31", local(23, 13, 49), local(23, 13, 50), "nov 31"],
    ["cron 11/20 13:49", "cron 11/20", local(23, 13, 49), local(23, 13, 50), "11/20"],
    ["cron before 13:49", "cron before", local(23, 13, 49), local(23, 13, 50), "before"],
    ["cron next friday", "cron next", local(20, 0), local(21, 0), "next"],
    // Names of processes.
    ["ceph mon", "ceph mon", now - 24 * hour, now],
    ["ceph mon 3", "ceph mon 3", now - 24 * hour, now],
    ["perl may", "perl may", now - 24 * hour, now],
    ["noon", "noon", now - 24 * hour, now],
    ["midnight commander", "midnight commander", now - 24 * hour, now],
    ["sleep after 5", "sleep after 5", now - 24 * hour, now],
    ["java 3.11.2 10.0.0.1 8080:80", "java 3.11.2 10.0.0.1 8080:80", now - 24 * hour, now],
  ] as [string, string, number, number, string?][]) {
    test(input, () => expect(parseSearch(input, now)).toEqual({ text, time: { from, to }, unparsed }));
  }
});

describe("in another time zone", () => {
  // 17:00 on 26 November.
  beforeEach(() => vi.stubEnv("TZ", "America/Los_Angeles"));
  afterEach(() => vi.unstubAllEnvs());
  const evening = Date.UTC(2026, 10, 27, 1);
  const utcTime = (day: number, hours: number, minutes: number) => Date.UTC(2026, 10, day, hours, minutes);
  for (const [input, from, to] of [
    ["a 00:30 UTC", utcTime(27, 0, 30), utcTime(27, 0, 31)],
    ["a 01:30 UTC", utcTime(26, 1, 30), utcTime(26, 1, 31)],
    ["a 02:30 GMT+2", utcTime(27, 0, 30), utcTime(27, 0, 31)],
    ["a from 16:10 -08:00 to 16:40 -08:00", utcTime(27, 0, 10), utcTime(27, 0, 40)],
    ["a 16:30 -0800", utcTime(27, 0, 30), utcTime(27, 0, 31)],
    ["a 2026-11-26T16:30-08:00", utcTime(27, 0, 30), utcTime(27, 0, 31)],
    ["a from 00:10 UTC to 00:40 UTC", utcTime(27, 0, 10), utcTime(27, 0, 40)],
    ["a from 23:30 UTC to 00:40 UTC", utcTime(26, 23, 30), utcTime(27, 0, 40)],
    ["a Nov 25, 2026, 6:00 AM -07:00", utcTime(25, 13, 0), utcTime(25, 13, 1)],
  ] as const) {
    test(input, () => expect(parseSearch(input, evening)).toEqual({ text: "a", time: { from, to } }));
  }
});

describe("when clocks are set", () => {
  // In Berlin, 2:00 to 3:00 occurs twice on 2025-10-26, and is skipped on 2025-03-30.
  beforeEach(() => vi.stubEnv("TZ", "Europe/Berlin"));
  afterEach(() => vi.unstubAllEnvs());
  const first = Date.parse("2025-10-26T00:30:00Z");
  const other = Date.parse("2025-10-26T01:30:00Z");
  const skipped = Date.parse("2025-03-30T01:30:00Z");

  for (const [input, time, clockChange] of [
    [
      "a 2025-10-26 2:30",
      { from: first, to: first + minute },
      { kind: "repeated", shown: first, other, precision: "minute" },
    ],
    ["a 2025-10-26T02:30:00", { at: first }, { kind: "repeated", shown: first, other, precision: "second" }],
    ["a 2025-10-26T02:30+01:00", { from: other, to: other + minute }, undefined],
    ["a 2025-10-26 3:30", { from: other + hour, to: other + hour + minute }, undefined],
    ["a 2025-10-26", { from: first - 2.5 * hour, to: first + 22.5 * hour }, undefined],
    ["a from 2025-10-26 1:00 to 2:30", { from: first - 1.5 * hour, to: other }, { kind: "covered", shown: first }],
    ["a 2025-10-26 between 2:30 and 4:00", { from: first, to: other + 1.5 * hour }, { kind: "covered", shown: first }],
    ["a since 2025-10-26 2:30", { from: first, to: now }, { kind: "covered", shown: first }],
    ["a 2025-03-30 2:30", { from: skipped, to: skipped + minute }, { kind: "skipped", shown: skipped }],
  ] as const) {
    test(input, () =>
      expect(parseSearch(input, now)).toEqual({ text: "a", time, ...(clockChange && { clockChange }) }),
    );
  }
  test("times as pages print them are the same minute", () => {
    // Most of a day in steps of 29 minutes and 7 seconds, with the hour that occurs twice.
    for (let at = first - 8 * hour + 123; at < first + 12 * hour; at += 29 * minute + 7 * second) {
      const thatMinute = Math.floor(at / minute) * minute;
      const printed = [dateTime(at), dateTime(at, "short"), utc(at), timeOfDay(at), new Date(at).toISOString()];
      for (const text of printed) {
        // A time of day is the latest before now.
        const found = parseSearch(`java ${text}`, at + hour);
        const start = "at" in found.time ? found.time.at : found.time.from;
        expect([text, found.text, Math.floor(start / minute) * minute]).toEqual([text, "java", thatMinute]);
        expect(found.clockChange).toBeUndefined();
      }
      const end = at + 2 * hour;
      expect(parseSearch(`java ${dateTime(at)} – ${dateTime(end)}`, end + hour).time).toEqual({
        from: Math.floor(at / second) * second,
        to: Math.floor(end / second) * second,
      });
    }
    expect(parseSearch("a 25 Oct 2025 14:31 GMT+2", now).time).toMatchObject({ from: Date.UTC(2025, 9, 25, 12, 31) });
    expect(parseSearch("a 26 Oct 2025 2:30", now).clockChange?.kind).toBe("repeated");
    expect(parseSearch("a 26 Oct 2025 2:30 CET", now).time).toMatchObject({ from: other });
  });
  test("the second occurrence is not offered before it", () => {
    expect(parseSearch("a 2:30", other - minute)).toEqual({ text: "a", time: { from: first, to: first + minute } });
    expect(parseSearch("a 2:30", other).clockChange?.kind).toBe("repeated");
  });
});
