// Who started a process, and what it started, at an instant.
import { type Process, keyOf } from "./process";
import { type Node, tree } from "./tree";

export interface Relatives {
  /** The eldest first. */
  parents: Process[];
  self: Process | undefined;
  children: Process[];
}

/** The family of the process with this pid and, if it is known, start. */
export function findRelatives(processes: readonly Process[], pid: number, startedAt: string | undefined): Relatives {
  const wanted = (process: Process) =>
    process.pid === pid && (startedAt === undefined || keyOf(process) === keyOf({ pid, started_at: startedAt }));
  const search = (forest: Node[], parents: Process[]): Relatives | undefined => {
    for (const { process, children } of forest) {
      if (wanted(process)) return { parents, self: process, children: children.map((child) => child.process) };
      const below = search(children, [...parents, process]);
      if (below) return below;
    }
    return undefined;
  };
  return search(tree(processes), []) ?? { parents: [], self: undefined, children: [] };
}
