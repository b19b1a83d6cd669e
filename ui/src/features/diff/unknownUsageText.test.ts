import { expect, test } from "vitest";
import { unknownUsageText } from "./unknownUsageText";

test.each([
  [0, 0, undefined],
  [1, 0, "CPU time is unknown for 1 process."],
  [0, 12, "I/O is unknown for 12 processes."],
  [3, 3, "CPU time and I/O are unknown for 3 processes."],
  [1, 2, "CPU time is unknown for 1 process, and I/O for 2 processes."],
])("unknown CPU of %s and I/O of %s", (unknown_cpu_processes, unknown_io_processes, want) =>
  expect(unknownUsageText({ unknown_cpu_processes, unknown_io_processes })).toBe(want),
);
