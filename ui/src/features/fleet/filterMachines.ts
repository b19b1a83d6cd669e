// Which machines are shown, and in what order. Pure functions, tested without a browser.
import type { Machine } from "../../api/client";
import { share } from "../../format";
import { compareStrings } from "../../processes/process";

export type Status = "up" | "silent" | "disabled";
export const statuses: Status[] = ["up", "silent", "disabled"];
export const fleetSortKeys = ["name", "cpu", "memory", "disk", "load", "processes", "uptime", "seen"] as const;
export type FleetSortKey = (typeof fleetSortKeys)[number];

export interface Selection {
  /** Text that host name, id, system or a tag contain. */
  q: string;
  /** Tags that a machine has all of. */
  tag: readonly string[];
  status: Status | undefined;
  sort: FleetSortKey;
  desc: boolean;
}

/** What a machine is doing, in a word. */
export function statusOf(machine: Machine): Status {
  if (machine.status === "stale") return "silent";
  return machine.enabled ? "up" : "disabled";
}

export function countStatuses(machines: readonly Machine[]): Record<Status, number> {
  const counts: Record<Status, number> = { up: 0, silent: 0, disabled: 0 };
  for (const machine of machines) counts[statusOf(machine)]++;
  return counts;
}

/** All tags, those of most machines first. */
export function tagsOf(machines: readonly Machine[]): string[] {
  const counts = new Map<string, number>();
  for (const { tags } of machines) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || compareStrings(a[0], b[0])).map(([tag]) => tag);
}

export function select(machines: readonly Machine[], { q, tag, status, sort, desc }: Selection): Machine[] {
  const needle = q.trim().toLowerCase();
  return machines
    .filter(
      (m) =>
        (needle === "" ||
          [m.hostname, m.machine_id, m.platform, ...m.tags].some((text) => text.toLowerCase().includes(needle))) &&
        tag.every((one) => m.tags.includes(one)) &&
        (!status || statusOf(m) === status),
    )
    .sort((a, b) => {
      const order = compare(a, b, sort);
      return (desc ? -order : order) || byName(a, b);
    });
}

const byName = (a: Machine, b: Machine) =>
  compareStrings(a.hostname || a.machine_id, b.hostname || b.machine_id) || compareStrings(a.machine_id, b.machine_id);

function compare(a: Machine, b: Machine, key: FleetSortKey): number {
  if (key === "name") return byName(a, b);
  if (key === "seen") return compareStrings(a.last_seen, b.last_seen);
  return numberOf(a, key) - numberOf(b, key);
}

/** What is not known is less than anything known. */
function numberOf({ latest, process_count }: Machine, key: Exclude<FleetSortKey, "name" | "seen">): number {
  switch (key) {
    case "cpu":
      return latest?.cpu_usage ?? -1;
    case "memory":
      return share(latest?.used_ram, latest?.total_ram) ?? -1;
    case "disk":
      return share(latest?.used_disk, latest?.total_disk) ?? -1;
    case "load":
      return latest?.load1 ?? -1;
    case "processes":
      return process_count ?? -1;
    case "uptime":
      return latest?.uptime_ms ?? -1;
  }
}
