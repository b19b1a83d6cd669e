// Filters and sorts the list of machines.
import type { Machine, MachineMetrics } from "../../api/client";
import { share } from "../../format";
import { compareStrings } from "../../processes/process";
import { textMatch } from "../../textMatch";

export const statuses = ["up", "waiting", "silent", "disabled"] as const;
export type Status = (typeof statuses)[number];

export const fleetSortKeys = ["name", "cpu", "memory", "disk", "load", "processes", "uptime", "seen"] as const;
export type FleetSortKey = (typeof fleetSortKeys)[number];

export interface MachineFilter {
  /** Text that the host name, the id, the platform or a tag contains. */
  q: string;
  /** A machine must have all of these tags. */
  tag: readonly string[];
  status: Status | undefined;
  sort: FleetSortKey;
  desc: boolean;
}

export function statusOf(machine: Machine): Status {
  if (machine.status === "stale") return "silent";
  if (!machine.enabled) return "disabled";
  return machine.status;
}

/** Returns the metrics of the latest snapshot; undefined if it is not current. Old values must not look like new ones. */
export const currentMetrics = (machine: Machine): MachineMetrics | undefined =>
  machine.outdated ? undefined : machine.latest;

export function countStatuses(machines: readonly Machine[]): Record<Status, number> {
  const counts: Record<Status, number> = { up: 0, waiting: 0, silent: 0, disabled: 0 };
  for (const machine of machines) counts[statusOf(machine)]++;
  return counts;
}

/** Returns all tags, sorted by the number of machines that have them. */
export function tagsOf(machines: readonly Machine[]): string[] {
  const counts = new Map<string, number>();
  for (const { tags } of machines) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || compareStrings(a[0], b[0])).map(([tag]) => tag);
}

export function filterMachines(machines: readonly Machine[], { q, tag, status, sort, desc }: MachineFilter): Machine[] {
  const matches = textMatch(q.trim());
  const matchesText = (m: Machine) => [m.hostname, m.machine_id, m.platform, ...m.tags].some(matches);
  return machines
    .filter(
      (m) =>
        matchesText(m) && tag.every((one) => m.tags.includes(one)) && (status === undefined || statusOf(m) === status),
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
  return (valueOf(a, key) ?? -1) - (valueOf(b, key) ?? -1);
}

function valueOf(machine: Machine, key: Exclude<FleetSortKey, "name" | "seen">): number | null | undefined {
  const latest = currentMetrics(machine);
  switch (key) {
    case "cpu":
      return latest?.cpu_usage;
    case "memory":
      return share(latest?.used_ram, latest?.total_ram);
    case "disk":
      return latest?.fullest_disk_usage; // a sum would hide a disk that is full
    case "load":
      return latest?.load1;
    case "processes":
      return machine.outdated ? undefined : machine.process_count;
    case "uptime":
      return latest?.uptime_ms;
  }
}
