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

test("changes are applied to the last state", () => {
  const state = new LiveState();
  expect(state.snapshot()).toBeUndefined();
  const results = [full(1), changes(2, 1), changes(3, 2)].map((message) => state.apply(message));
  expect(results).toEqual(["applied", "applied", "applied"]);
  const { timestamp, metrics, processes } = state.snapshot() ?? {};
  expect([timestamp, metrics?.load1, processes?.map((p) => p.pid), processes?.[0]?.cpu_ms]).toEqual([
    at(3),
    3,
    [1, 12, 13],
    0,
  ]);
});

test("the processes that ended are those of the last message", () => {
  const state = new LiveState();
  const ended = { processes: 3, cpu_ms: 500, cpu_usage: 50 };
  state.apply({ ...full(1), ended });
  expect(state.snapshot()?.ended).toEqual(ended);
  state.apply(changes(2, 1));
  expect(state.snapshot()?.ended).toBeUndefined();
});

test("changes to another state are not applied", () => {
  const state = new LiveState();
  expect(state.apply(changes(2, 1))).toBe("gap");
  state.apply(full(1));
  expect(state.apply(changes(3, 2))).toBe("gap");
  expect(state.at).toBe(at(1));
  expect(state.apply(full(4))).toBe("applied");
  expect(state.snapshot()?.processes).toHaveLength(1);
});

test("messages that are not newer are ignored", () => {
  const state = new LiveState();
  state.apply(full(5));
  const results = [full(5), full(4), changes(3, 2)].map((message) => state.apply(message));
  expect(results).toEqual(["outdated", "outdated", "outdated"]);
  expect(state.snapshot()?.metrics.load1).toBe(5);
});
