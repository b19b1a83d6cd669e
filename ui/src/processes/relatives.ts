// The ancestors and the children of a process.
import { type Process, keyOf } from "./process";
import { type Node, tree } from "./tree";

export interface Relatives {
  /** From the root down to the parent. */
  ancestors: Process[];
  self: Process | undefined;
  children: Process[];
}

/** Finds the process with this pid and, if it is known, this start time. */
export function findRelatives(processes: readonly Process[], pid: number, startedAt: string | undefined): Relatives {
  const isTarget = (process: Process) =>
    process.pid === pid && (startedAt === undefined || keyOf(process) === keyOf({ pid, started_at: startedAt }));
  const search = (forest: Node[], ancestors: Process[]): Relatives | undefined => {
    for (const { process, children } of forest) {
      if (isTarget(process)) return { ancestors, self: process, children: children.map((child) => child.process) };
      const below = search(children, [...ancestors, process]);
      if (below) return below;
    }
    return undefined;
  };
  return search(tree(processes), []) ?? { ancestors: [], self: undefined, children: [] };
}

/**
 * Finds the parents of a process that is in no snapshot, from the root down. The list is empty if its parent does not run
 * any more. A process that started later has only the same pid.
 */
export function findParents(processes: readonly Process[], ppid: number, startedAt: string): Process[] {
  const { ancestors, self } = findRelatives(processes, ppid, undefined);
  const isLater = self?.started_at !== undefined && Date.parse(self.started_at) > Date.parse(startedAt);
  return self && !isLater ? [...ancestors, self] : [];
}
