import { expect, test, vi } from "vitest";
import { average, bytes, cpuTime, dateTime, duration, percent, share, timeOfDay } from "./format";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [123 * 1024 * 1024, "123 MiB"],
  [5 * 1024 ** 5, "5.0 PiB"],
  [null, "–"],
])("bytes(%s)", (n, want) => expect(bytes(n)).toBe(want));

test.each([
  [0, "0 ms"],
  [0.001, "0.001 ms"],
  [0.6, "0.6 ms"],
  [0.1 + 0.2, "0.3 ms"],
  [0.0004, "0 ms"],
  [2.534, "2.53 ms"],
  [7, "7 ms"],
  [9.996, "10 ms"],
  [70.25, "70.3 ms"],
  [700.499, "700 ms"],
  [999.6, "1 s"],
  [1070.4, "1.07 s"],
  [12_345.678, "12.3 s"],
  [59_949.9, "59.9 s"],
  [59_960, "1 min"],
  [90_500.5, "1 min 30 s"],
  [null, "–"],
])("cpuTime(%s)", (ms, want) => expect(cpuTime(ms)).toBe(want));

test.each([
  [0, "0 s"],
  [59_000, "59 s"],
  [3_600_000, "1 h"],
  [3_660_000, "1 h 1 min"],
  [90_061_000, "1 d 1 h"],
  [null, "–"],
])("duration(%s)", (ms, want) => expect(duration(ms)).toBe(want));

test("percent and share", () => {
  expect(percent(12.34)).toBe("12.3 %");
  expect(percent(null)).toBe("–");
  expect(share(1, 4)).toBe(25);
  expect(share(1, 0)).toBeNull();
  expect(share(null, 4)).toBeNull();
});

test("labels have the time zone only if the time is ambiguous", () => {
  vi.stubEnv("TZ", "Europe/Berlin"); // 2:00 to 3:00 occurs twice on 2025-10-26
  const [first, second] = ["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"];
  expect([dateTime(first), dateTime(second)].map((label) => label.slice(-5))).toEqual(["GMT+2", "GMT+1"]);
  expect([timeOfDay(first), timeOfDay(second)].map((label) => label.slice(-5))).toEqual(["GMT+2", "GMT+1"]);
  expect(dateTime("2025-10-26T02:30:00Z")).not.toContain("GMT");
  expect(timeOfDay("2025-10-25T23:30:00Z")).not.toContain("GMT");
  vi.unstubAllEnvs();
});

test.each([
  [0, "0.00"],
  [0.0003, "0.0003"],
  [0.05, "0.05"],
  [0.158, "0.16"],
  [2, "2.00"],
  [31.46, "31.5"],
  [null, "–"],
])("average(%s)", (n, want) => expect(average(n)).toBe(want));
