import type { Machine } from "./client";

/** Generated ids: the one of the agent, and random UUIDs. Their first characters are enough to distinguish machines. */
const generatedId = /^[0-9a-f]{32}$|^[0-9a-f]{8}-[0-9a-f]{4}-4/;

type Named = Pick<Machine, "hostname" | "hostname_shared">;

/**
 * Returns the host name of a machine, or its id if it has none or is not loaded yet. If several machines have the host
 * name, a part of the id follows. The dashboards of Grafana use the same names.
 */
export function machineName(machine: Named | undefined, machineId: string): string {
  if (!machine?.hostname) return machineId;
  if (!machine.hostname_shared) return machine.hostname;
  return `${machine.hostname} (${generatedId.test(machineId) ? machineId.slice(0, 8) : machineId})`;
}
