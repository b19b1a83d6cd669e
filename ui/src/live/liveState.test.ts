import { expect, test } from "vitest";
import type { LiveContent } from "../api/client";
import { LiveState } from "./liveState";

const at = (second: number) => `2026-11-23T03:12:0${second}.000Z`;
const full = (second: number): LiveContent => ({
  timestamp: at(second),
  kind: "full",
  interval_ms: 1000,
  machine_snapshot: { load1: second },
  processes: [{ pid: 1, ppid: 0, name: "init", cpu_ms: 10 }],
});
const changes = (second: number, previous: number): LiveContent => ({
  timestamp: at(second),
  kind: "changes",
  previous: at(previous),
  interval_ms: 1000,
  machine_snapshot: { load1: second },
  processes: [{ pid: 10 + second, ppid: 1, name: "child" }],
});

test("changes lead from state to state", () => {
  const follower = new LiveState();
  expect(follower.snapshot()).toBeUndefined();
  expect([full(1), changes(2, 1), changes(3, 2)].map((m) => follower.take(m))).toEqual(["new", "new", "new"]);
  const { timestamp, metrics, processes } = follower.snapshot() ?? {};
  expect([timestamp, metrics?.load1, processes?.map((p) => p.pid), processes?.[0]?.cpu_ms]).toEqual([
    at(3),
    3,
    [1, 12, 13],
    0,
  ]);
});

test("changes of something else are not applied", () => {
  const follower = new LiveState();
  expect(follower.take(changes(2, 1))).toBe("lost");
  follower.take(full(1));
  expect(follower.take(changes(3, 2))).toBe("lost");
  expect(follower.at).toBe(at(1));
  expect(follower.take(full(4))).toBe("new");
  expect(follower.snapshot()?.processes).toHaveLength(1);
});

test("what is not newer changes nothing", () => {
  const follower = new LiveState();
  follower.take(full(5));
  expect([full(5), full(4), changes(3, 2)].map((m) => follower.take(m))).toEqual(["old", "old", "old"]);
  expect(follower.snapshot()?.metrics.load1).toBe(5);
});
