import { expect, test } from "vitest";
import { findParents, findRelatives } from "./relatives";
import type { Process } from "./process";

const process = (pid: number, ppid: number, second = 0) =>
  ({ pid, ppid, name: `p${pid}`, started_at: `2026-11-23T03:12:0${second}.000Z` }) as Process;
const list = [process(1, 0), process(2, 1, 1), process(3, 2, 2), process(4, 3, 3), process(5, 3, 3), process(6, 1)];
const pids = (processes: Process[]) => processes.map(({ pid }) => pid);

test("ancestors from the root, and children", () => {
  const { ancestors, self, children } = findRelatives(list, 3, "2026-11-23T03:12:02.000Z");
  expect([pids(ancestors), self?.pid, pids(children)]).toEqual([[1, 2], 3, [4, 5]]);
});
test("a process with a reused pid is another process", () => {
  expect(findRelatives(list, 3, "2026-11-23T03:12:09.000Z").self).toBeUndefined();
  expect(findRelatives(list, 3, undefined).self?.pid).toBe(3);
});
test("the parents of a process that is in no snapshot", () => {
  const parentsOf = (ppid: number, second: number) => pids(findParents(list, ppid, `2026-11-23T03:12:0${second}.500Z`));
  expect(parentsOf(3, 2)).toEqual([1, 2, 3]);
  expect(parentsOf(3, 1)).toEqual([]); // a later process with the pid of the parent
  expect(parentsOf(9, 2)).toEqual([]);
});
