import { describe, expect, test } from "vitest";
import type { Process } from "./process";
import { type View, defaultView, parentKeys, rows } from "./rows";

const started_at = "2026-11-23T03:12:00.000Z";
const process = (pid: number, ppid: number, name: string, cpu: number | null): Process => ({
  pid,
  ppid,
  name,
  command_line: `/bin/${name} --x`,
  user: pid % 2 ? "root" : "ann",
  cpu_ms: null,
  cpu_usage: cpu,
  memory_usage: pid * 100,
  threads: 1,
  read_bytes: null,
  write_bytes: null,
  started_at,
});

const list = [
  process(1, 0, "init", 0),
  process(2, 1, "sshd", 1),
  process(3, 1, "postgres", 10),
  process(4, 3, "postgres", 5),
  process(5, 2, "bash", 2),
  process(6, 0, "kthreadd", null),
  process(9, 5, "stress", 90),
];
const collapse = (pids: number[]) => new Set(pids.map((pid) => `${pid}@${started_at}`));
const shape = (v: Partial<View>, collapsed: number[] = []) =>
  rows(list, { ...defaultView, ...v }, collapse(collapsed), 0).map(
    (row) => `${" ".repeat(row.depth)}${row.process.pid}`,
  );

describe("the tree", () => {
  test("is shown with its depth", () => expect(shape({})).toEqual(["1", " 2", "  5", "   9", " 3", "  4", "6"]));
  test("sorts siblings by the sum over their subtrees", () =>
    expect(shape({ sort: "cpu", descending: true })).toEqual(["1", " 2", "  5", "   9", " 3", "  4", "6"]));
  test("sorts unknown values first in ascending order", () =>
    expect(shape({ sort: "cpu" })).toEqual(["6", "1", " 3", "  4", " 2", "  5", "   9"]));
  test("sorts by text, then by pid", () =>
    expect(shape({ sort: "name", descending: true })).toEqual(["6", "1", " 2", "  5", "   9", " 3", "  4"]));
  test("hides collapsed subtrees", () => expect(shape({}, [2])).toEqual(["1", " 2", " 3", "  4", "6"]));
  test("only collapsed rows have the sums over their subtrees", () => {
    expect(rows(list, defaultView, collapse([2]), 0)[1]).toMatchObject({
      collapsed: true,
      descendants: 2,
      cpu: 93,
      memory: 1600,
      threads: 3,
      read: null,
    });
    expect(rows(list, defaultView, collapse([]), 0)[1]).toMatchObject({
      collapsed: false,
      descendants: 2,
      cpu: 1,
      memory: 200,
      threads: 1,
    });
  });
  test("a collapsed row adds the CPU times of its processes, not their rounded usage", () => {
    const sleepers = Array.from({ length: 3813 }, (_, i) => ({ ...process(10 + i, 1, "sleeper", 0.02), cpu_ms: 10 }));
    expect(rows([process(1, 0, "init", 0), ...sleepers], defaultView, collapse([1]), 60_000)[0]?.cpu).toBe(63.55);
  });
  test("a collapsed row says how many values its sums leave out", () => {
    const [init] = rows([...list, process(7, 2, "idle", null)], defaultView, collapse([1]), 0);
    expect(init?.cpu).toBe(108);
    expect(init?.unknown).toEqual({ cpu: 1, memory: 0, threads: 0, files: 7, read: 7, write: 7 });
    expect(rows(list, defaultView, collapse([]), 0)[0]?.unknown).toBeUndefined();
  });
  test("a process without children does not collapse", () => expect(shape({}, [9])).toContain("   9"));
  test("all processes with children can be collapsed", () =>
    expect(parentKeys(list)).toEqual([...collapse([1, 2, 5, 3])]));
});

describe("the filter", () => {
  test("keeps the ancestors of matches as context", () => {
    const kept = rows(list, { ...defaultView, filter: "STRESS" }, new Set(), 0);
    expect(kept.map((row) => [row.process.pid, row.contextOnly])).toEqual([
      [1, true],
      [2, true],
      [5, true],
      [9, false],
    ]);
  });
  test("shows matches in collapsed subtrees", () => expect(shape({ filter: "stress" }, [1])).toHaveLength(4));
  test("finds users, pids and command lines", () => {
    expect(shape({ filter: "ann", flat: true })).toEqual(["2", "4", "6"]);
    expect(shape({ filter: "9", flat: true })).toEqual(["9"]);
    expect(shape({ filter: "/bin/bash", flat: true })).toEqual(["5"]);
  });
  test("can match nothing", () => expect(shape({ filter: "nothing" })).toEqual([]));
  test("combines user, CPU and memory", () => {
    expect(shape({ user: "root", flat: true })).toEqual(["1", "3", "5", "9"]);
    expect(shape({ cpu: 5, flat: true })).toEqual(["3", "4", "9"]);
    expect(shape({ memory: 500, flat: true })).toEqual(["5", "6", "9"]);
    expect(shape({ user: "root", cpu: 5, memory: 500, flat: true })).toEqual(["9"]);
  });
  test("shows only included names, below their ancestors", () => {
    expect(shape({ include: ["bash", "kthreadd"], flat: true })).toEqual(["5", "6"]);
    expect(shape({ include: ["bash"] })).toEqual(["1", " 2", "  5"]);
  });
});

describe("exclude", () => {
  test("moves children to their grandparent", () =>
    expect(shape({ exclude: ["sshd", "bash"] })).toEqual(["1", " 3", "  4", " 9", "6"]));
  test("matches whole names only", () => expect(shape({ exclude: ["post"] })).toHaveLength(7));
  test("hides all processes of the name", () => {
    expect(shape({ exclude: ["postgres"] })).toEqual(["1", " 2", "  5", "   9", "6"]);
    expect(shape({ exclude: ["postgres"], flat: true })).toEqual(["1", "2", "5", "6", "9"]);
  });
});

test("the list is sorted as a whole", () =>
  expect(shape({ flat: true, sort: "cpu", descending: true })).toEqual(["9", "3", "4", "5", "2", "1", "6"]));
test("computing rows does not change the snapshot", () => {
  const before = JSON.stringify(list);
  shape({ sort: "memory", descending: true, exclude: ["bash"] });
  expect(JSON.stringify(list)).toBe(before);
});
// A performance budget in CPU time, which depends little on the load of the machine.
const node = globalThis as unknown as {
  process: { cpuUsage: (since?: { user: number }) => { user: number } };
};
test("5,000 processes take at most 100 ms", () => {
  const many = Array.from({ length: 5000 }, (_, i) => process(i + 1, Math.floor(i / 4), `p${i % 70}`, i % 10));
  const times = Array.from({ length: 10 }, () => {
    const begin = node.process.cpuUsage();
    expect(rows(many, { ...defaultView, sort: "cpu", descending: true }, new Set(), 0)).toHaveLength(5000);
    return node.process.cpuUsage(begin).user / 1000;
  });
  expect(Math.min(...times)).toBeLessThan(100);
});
