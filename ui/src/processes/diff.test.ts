import { expect, test } from "vitest";
import { compare } from "./diff";
import type { Process } from "./process";

const process = (pid: number, memory_usage: number | null, threads: number | null = 1) =>
  ({ pid, memory_usage, threads }) as Process;

test("a process is unknown if it ran at both instants and its measure is unknown at one", () => {
  const before = [process(1, 5), process(2, null), process(3, 7, null), process(4, null), process(5, null)];
  const after = [process(1, 5), process(2, 9), process(3, null), process(4, null), process(6, null)];
  expect(compare(before, after, "memory").unknown).toBe(3);
  expect(compare(before, after, "threads").unknown).toBe(1);
  expect(compare([], [], "memory").unknown).toBe(0);
});
