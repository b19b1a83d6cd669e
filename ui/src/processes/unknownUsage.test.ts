import { expect, test } from "vitest";
import type { Process } from "./process";
import { unknownUsage } from "./unknownUsage";

const process = (cpu_usage: number | null, read_bytes: number | null) =>
  ({ cpu_usage, read_bytes, write_bytes: read_bytes }) as Process;

test("says whose usage is unknown, and why", () => {
  expect(unknownUsage([process(0, 0), process(1, 2)], 5000)).toBeUndefined();
  expect(unknownUsage([], 0)).toBeUndefined();
  expect(unknownUsage([process(null, 0), process(1, 2)], 5000)).toMatch(
    /^Unknown \(–\): CPU usage for 1 of 2 processes\. Not measured since the last gap/,
  );
  expect(unknownUsage([process(null, null), process(null, null), process(0, null)], 0)).toBe(
    "Unknown (–): CPU usage for 2 of 3 processes, I/O for 3 of 3 processes. " +
      "There is no snapshot shortly before this one to compare with.",
  );
});
