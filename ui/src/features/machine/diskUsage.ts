// How full the disks of a machine are.
import type { MachineMetrics } from "../../api/client";

type Disk = NonNullable<MachineMetrics["disks"]>[number];

export interface DiskUsage {
  disk: Disk;
  /** Used space in percent of the used and available space, as in df; null if it is unknown. */
  usage: number | null;
  /** The values are the last known ones, because the disk does not answer. */
  isStale: boolean;
}

/** Returns the usage of a disk in percent; null if it is unknown. */
export function diskUsage({ used, available, total }: Disk): number | null {
  if (used === null || used === undefined) return null;
  const left = available ?? (total === null || total === undefined ? undefined : Math.max(0, total - used));
  return left === undefined || used + left === 0 ? null : (100 * used) / (used + left);
}

/** Returns the disks, with those that do not answer first, then the fullest. */
export function diskUsages(disks: readonly Disk[], stale: readonly string[] = []): DiskUsage[] {
  return disks
    .map((disk) => ({ disk, usage: diskUsage(disk), isStale: stale.includes(disk.mount) }))
    .sort((a, b) => Number(b.isStale) - Number(a.isStale) || (b.usage ?? -1) - (a.usage ?? -1));
}
