import { expect, test } from "vitest";
import type { MachineDiff, Process } from "../../api/client";
import { cpuTimes } from "./cpuTimes";

const process = (pid: number, cpu_ms: number | null) => ({ pid, cpu_ms }) as Process;
const diff = (truncated: boolean) =>
  ({
    started: [process(1, 5)],
    ended: [process(2, null)],
    grew: [process(3, 700)],
    shrank: [],
    active: [process(6, null)],
    truncated,
  }) as unknown as MachineDiff;

test("processes that the server leaves out used no CPU, unless that is unknown", () => {
  const after = [process(1, 5), process(3, 20), process(4, 0), process(5, null)];
  expect([...cpuTimes(diff(false), after)]).toEqual([
    ["1@", 5],
    ["3@", 700],
    ["4@", 0],
    ["2@", null],
    ["6@", null],
  ]);
  expect(cpuTimes(diff(true), after).has("4@")).toBe(false);
  expect(cpuTimes(undefined, after).size).toBe(0);
});
