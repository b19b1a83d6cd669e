// The same cases as snapshot/cases_test.go: the page and the server must give the same results.
import { describe, expect, test } from "vitest";
import diffCases from "../../../snapshot/testdata/cases/diff.json";
import replayCases from "../../../snapshot/testdata/cases/replay.json";
import treeCases from "../../../snapshot/testdata/cases/tree.json";
import { type Differences, compare, identityChanges, newestOf } from "./diff";
import { type Process, keyOf } from "./process";
import { Replay, type Step } from "./replay";
import { type Node, prune, tree } from "./tree";

const process = (given: Partial<Process>): Process => ({
  pid: 0,
  ppid: 0,
  name: `p${given.pid}`,
  command_line: "",
  user: "",
  cpu_ms: null,
  cpu_usage: null,
  memory_usage: null,
  threads: null,
  read_bytes: null,
  write_bytes: null,
  ...given,
});

/** Formats a forest as 1(2(3) 4). */
const render = (forest: Node[]): string =>
  forest.map((node) => `${node.process.pid}` + (node.children.length ? `(${render(node.children)})` : "")).join(" ");

describe("tree", () => {
  for (const one of treeCases) {
    test(one.name, () => {
      if (one.chain === undefined) {
        expect(render(prune(tree(one.processes.map(process)), (p) => !one.exclude?.includes(p.name)))).toBe(one.want);
        return;
      }
      let count = 0;
      let levels = 0;
      for (
        let level = tree(Array.from({ length: one.chain }, (_, i) => process({ pid: i + 1, ppid: i })));
        level.length > 0;
        levels++
      ) {
        count += level.length;
        level = level.flatMap((node) => node.children);
      }
      expect([count, levels]).toEqual([one.chain, one.levels]);
    });
  }
});

describe("diff", () => {
  for (const one of diffCases) {
    test(one.name, () => {
      const { lists } = compare(one.before.map(process), one.after.map(process), one.by as "memory" | "threads");
      const got = Object.fromEntries(
        Object.entries(lists satisfies Differences).map(([kind, list]) => [
          kind,
          list.map((change) => newestOf(change).pid),
        ]),
      );
      expect(got).toEqual({ started: [], ended: [], changed: [], grew: [], shrank: [], ...one.want });
    });
  }
});

test("what changed in the identity of a process", () => {
  const before = process({ pid: 7, name: "sh", user: "root", cgroup: "/a" });
  const after = process({ pid: 7, name: "job", user: "root", ppid: 1 });
  expect(identityChanges({ before, after })).toEqual([
    { title: "Name", before: "sh", after: "job" },
    { title: "Parent", before: "0", after: "1" },
    { title: "Control group", before: "/a", after: "" },
  ]);
  expect(identityChanges({ before: undefined, after })).toEqual([]);
});

describe("replay", () => {
  for (const one of replayCases) {
    test(one.name, () => {
      const replay = new Replay();
      const seen: Process[][] = [];
      one.snapshots.forEach((step, i) => {
        expect(replay.apply(step as Step)).toBe(true);
        seen.push(replay.processes());
        expect(replay.processes()).toEqual(one.want[i]);
      });
      expect(seen, "returned lists must not change").toEqual(one.want);
    });
  }
  test("changes to unknown processes are rejected without effect", () => {
    const replay = new Replay();
    replay.apply({ kind: "full", processes: [{ pid: 1, ppid: 0, name: "init" }] });
    const before = replay.processes();
    expect(replay.apply({ kind: "changes", exited: [{ pid: 1 }, { pid: 7 }] })).toBe(false);
    expect(replay.apply({ kind: "changes", processes: [{ pid: 1, threads: 9 }, { pid: 8 }] })).toBe(false);
    expect(replay.processes()).toEqual(before);
  });
  test("cpu_ms has microseconds", () => {
    const replay = new Replay();
    replay.apply({ kind: "full", interval_ms: 3, processes: [{ pid: 1, ppid: 0, name: "a", cpu_ms: 1.005 }] });
    expect(replay.processes().map((p) => [p.cpu_ms, p.cpu_usage])).toEqual([[1.005, 33.5]]);
    replay.apply({ kind: "full", interval_ms: 5000, processes: [{ pid: 1, ppid: 0, name: "a", cpu_usage: 0.05068 }] });
    expect(replay.processes().map((p) => [p.cpu_ms, p.cpu_usage])).toEqual([[2.534, 0.05]]);
  });
  test("cpu_ms is derived from cpu_usage if it is missing", () => {
    const replay = new Replay();
    replay.apply({ kind: "full", interval_ms: 5000, processes: [{ pid: 1, ppid: 0, name: "a", cpu_usage: 0.2 }] });
    expect(replay.processes().map((p) => [keyOf(p), p.cpu_ms, p.cpu_usage])).toEqual([["1@", 10, 0.2]]);
  });
});
