import { expect, test } from "vitest";
import { bytes, duration, percent, share } from "./format";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [123 * 1024 * 1024, "123 MiB"],
  [5 * 1024 ** 5, "5.0 PiB"],
  [null, "–"],
])("bytes(%s)", (n, want) => expect(bytes(n)).toBe(want));

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
