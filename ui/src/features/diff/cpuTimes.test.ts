import { expect, test } from "vitest";
import type { MachineDiff, Process } from "../../api/client";
import { cpuTimes } from "./cpuTimes";

const process = (pid: number, cpu_ms: number | null) => ({ pid, cpu_ms }) as Process;
const diff = (totals: Partial<MachineDiff["totals"]>) =>
  ({
    started: [process(1, 5)],
    ended: [process(2, null)],
    grew: [process(3, 700)],
    shrank: [],
    active: [process(6, null)],
    totals: { started: 1, ended: 1, passed: 0, grew: 1, shrank: 0, active: 1, ...totals },
  }) as unknown as MachineDiff;

test("processes that the server leaves out used no CPU, unless that is unknown", () => {
  const after = [process(1, 5), process(3, 20), process(4, 0), process(5, null)];
  expect([...cpuTimes(diff({}), after)]).toEqual([
    ["1@", 5],
    ["3@", 700],
    ["4@", 0],
    ["2@", null],
    ["6@", null],
  ]);
  expect(cpuTimes(diff({ passed: 5000 }), after).get("4@")).toBe(0);
  expect(cpuTimes(diff({ active: 2 }), after).has("4@")).toBe(false);
  expect(cpuTimes(undefined, after).size).toBe(0);
});
