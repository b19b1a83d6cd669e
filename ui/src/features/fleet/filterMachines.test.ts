import { expect, test } from "vitest";
import type { Machine } from "../../api/client";
import { type MachineFilter, countStatuses, currentMetrics, filterMachines, statusOf, tagsOf } from "./filterMachines";

const machine = (machine_id: string, overrides: Partial<Machine> = {}) =>
  ({
    machine_id,
    hostname: machine_id,
    hostname_shared: false,
    platform: "debian 12",
    tags: [],
    enabled: true,
    status: "up",
    last_seen: "2026-11-23T03:12:00Z",
    process_count: null,
    outdated: overrides.status === "stale",
    ...overrides,
  }) as unknown as Machine;
const fleet = [
  machine("web-2", { tags: ["web", "eu"], latest: { cpu_usage: 5, used_ram: 1, total_ram: 4 } }),
  machine("web-1", { tags: ["web"], latest: { cpu_usage: 90, used_ram: 1, total_ram: 2 }, status: "stale" }),
  machine("db-1", { tags: ["db", "eu"], platform: "ubuntu 24.04", enabled: false }),
];
const all: MachineFilter = { q: "", tag: [], status: undefined, sort: "name", desc: false };
const names = (filter: Partial<MachineFilter>) => filterMachines(fleet, { ...all, ...filter }).map((m) => m.machine_id);

test("sorts by name in both directions", () => {
  expect(names({})).toEqual(["db-1", "web-1", "web-2"]);
  expect(names({ desc: true })).toEqual(["web-2", "web-1", "db-1"]);
});
test("sorts by numbers, with unknown values last in descending order", () => {
  const loaded = [4, 9, 1].map((load1, i) => machine(`m-${i}`, { latest: { load1 } }));
  const order = (desc: boolean) =>
    filterMachines([...loaded, machine("new")], { ...all, sort: "load", desc }).map((m) => m.machine_id);
  expect(order(true)).toEqual(["m-1", "m-0", "m-2", "new"]);
  expect(order(false)).toEqual(["new", "m-2", "m-0", "m-1"]);
});
test("sorts by the fullest disk, not by the sum of all", () => {
  const disks = [
    machine("sum", { latest: { used_disk: 90, total_disk: 100, fullest_disk_usage: 90, fullest_disk: "/" } }),
    machine("one", { latest: { used_disk: 20, total_disk: 1000, fullest_disk_usage: 99, fullest_disk: "/var" } }),
  ];
  expect(filterMachines(disks, { ...all, sort: "disk", desc: true }).map((m) => m.machine_id)).toEqual(["one", "sum"]);
});
test("old values are unknown", () => {
  expect(fleet.map(currentMetrics)).toEqual([fleet[0]?.latest, undefined, undefined]);
  expect(names({ sort: "cpu", desc: true })).toEqual(["web-2", "db-1", "web-1"]);
});
test("a machine that has not sent a snapshot is not up", () => {
  expect(statusOf(machine("new", { status: "waiting" }))).toBe("waiting");
});
test("finds text in names, platforms and tags", () => {
  expect(names({ q: "UBUNTU" })).toEqual(["db-1"]);
  expect(names({ q: " eu " })).toEqual(["db-1", "web-2"]);
});
test("a machine must have all tags", () => expect(names({ tag: ["web", "eu"] })).toEqual(["web-2"]));
test("filters by status", () => {
  expect(fleet.map(statusOf)).toEqual(["up", "silent", "disabled"]);
  expect(names({ status: "silent" })).toEqual(["web-1"]);
  expect(countStatuses(fleet)).toEqual({ up: 1, waiting: 0, silent: 1, disabled: 1 });
});
test("the most used tags come first", () => expect(tagsOf(fleet)).toEqual(["eu", "web", "db"]));
