import { describe, expect, test } from "vitest";
import type { ProcessNode } from "../api/client";
import { type View, count, rows } from "./rows";

function node(pid: number, name: string, cpu: number | null, children: ProcessNode[] = []): ProcessNode {
  return {
    pid,
    ppid: 0,
    name,
    command_line: `/bin/${name} --x`,
    user: pid % 2 ? "root" : "ann",
    cpu_ms: null,
    cpu_usage: cpu,
    memory_usage: pid * 100,
    threads: 1,
    read_bytes: null,
    write_bytes: null,
    started_at: "2026-11-23T03:12:00.000Z",
    children,
  };
}

const forest = [
  node(1, "init", 0, [node(2, "sshd", 1, [node(5, "bash", 2, [node(9, "stress", 90)])]), node(3, "postgres", 10, [node(4, "postgres", 5)])]),
  node(6, "kthreadd", null),
];
const view: View = { sort: "pid", descending: false, filter: "", exclude: [], flat: false };
const shape = (v: Partial<View>, collapsed: string[] = []) =>
  rows(forest, { ...view, ...v }, new Set(collapsed.map((pid) => `${pid}@2026-11-23T03:12:00.000Z`))).map((row) => `${" ".repeat(row.depth)}${row.node.pid}`);

describe("the tree", () => {
  test("is shown with its depth", () => expect(shape({})).toEqual(["1", " 2", "  5", "   9", " 3", "  4", "6"]));
  test("sorts siblings by what their whole subtree uses", () =>
    expect(shape({ sort: "cpu", descending: true })).toEqual(["1", " 2", "  5", "   9", " 3", "  4", "6"]));
  test("sorts ascending, the unknown first", () => expect(shape({ sort: "cpu" })).toEqual(["6", "1", " 3", "  4", " 2", "  5", "   9"]));
  test("sorts by text, ties by pid", () => expect(shape({ sort: "name", descending: true })).toEqual(["6", "1", " 2", "  5", "   9", " 3", "  4"]));
  test("collapses", () => expect(shape({}, ["2"])).toEqual(["1", " 2", " 3", "  4", "6"]));
  test("a collapsed row sums up what it hides", () => {
    const row = rows(forest, view, new Set(["2@2026-11-23T03:12:00.000Z"]))[1];
    expect(row).toMatchObject({ collapsed: true, below: 2, cpu: 93, memory: 1600 });
  });
  test("a leaf does not collapse", () => expect(shape({}, ["9"])).toContain("   9"));
});

describe("the filter", () => {
  test("keeps the ancestors, faint", () => {
    const kept = rows(forest, { ...view, filter: "STRESS" }, new Set());
    expect(kept.map((row) => [row.node.pid, row.faint])).toEqual([
      [1, true],
      [2, true],
      [5, true],
      [9, false],
    ]);
  });
  test("looks into collapsed subtrees", () => expect(shape({ filter: "stress" }, ["1"])).toHaveLength(4));
  test("finds users, pids and command lines", () => {
    expect(shape({ filter: "ann", flat: true })).toEqual(["2", "4", "6"]);
    expect(shape({ filter: "9", flat: true })).toEqual(["9"]);
    expect(shape({ filter: "/bin/bash", flat: true })).toEqual(["5"]);
  });
  test("may find nothing", () => expect(shape({ filter: "nothing" })).toEqual([]));
});

describe("exclude", () => {
  test("hands children to their grandparent", () => expect(shape({ exclude: ["sshd", "bash"] })).toEqual(["1", " 3", "  4", " 9", "6"]));
  test("takes whole names only", () => expect(shape({ exclude: ["post"] })).toHaveLength(7));
  test("drops every process of the name", () => expect(shape({ exclude: ["postgres"] })).toEqual(["1", " 2", "  5", "   9", "6"]));
});

test("the flat list sorts over all", () => expect(shape({ flat: true, sort: "cpu", descending: true })).toEqual(["9", "3", "4", "5", "2", "1", "6"]));
test("rows do not change the snapshot", () => {
  const before = JSON.stringify(forest);
  shape({ sort: "memory", descending: true, exclude: ["bash"] });
  expect(JSON.stringify(forest)).toBe(before);
});
test("count", () => expect(count(forest)).toBe(7));
