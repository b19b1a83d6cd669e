import { Link } from "@tanstack/react-router";
import type { EndedProcesses } from "../../api/client";
import { percent } from "../../format";
import type { LiveSnapshot } from "../../live/socket";
import { unlistedCpu } from "../../processes/unlistedCpu";
import { iso } from "../../time/range";

interface UnlistedCpuProps {
  machineId: string;
  snapshot: LiveSnapshot;
  /** The number of cores; undefined while it is loading. */
  cpuCount: number | undefined;
}

const countOf = (processes: number) => `${processes.toLocaleString()} ${processes === 1 ? "process" : "processes"}`;

/** Describes ended processes. If the sum of their CPU usage leaves out unknown ones, it is "at least", as "≥". */
function endedText({ processes, cpu_usage, unknown = 0 }: EndedProcesses): string {
  if (cpu_usage === null) return `${countOf(processes)}, unknown CPU`;
  const sum = `${percent(cpu_usage)} CPU`;
  return `${countOf(processes)}, ${unknown > 0 ? `≥\u00a0${sum}, unknown for ${unknown.toLocaleString()}` : sum}`;
}

/** The CPU usage that no process of the list has: that of ended processes, and the rest. In percent of one core. */
export function UnlistedCpu({ machineId, snapshot, cpuCount }: UnlistedCpuProps) {
  const { timestamp, intervalMs, metrics, processes } = snapshot;
  const { ended, rest, unknown } = unlistedCpu(metrics, cpuCount, processes, snapshot.ended, intervalMs);
  const to = Date.parse(timestamp);
  // The interval is rounded to a millisecond. Two milliseconds later, the snapshot before is the same. If the interval
  // is unknown, it is the one a millisecond before.
  const from = to - Math.max(1, intervalMs - 2);
  return (
    <p className="details" data-testid="unlisted-cpu">
      <span>
        <span className="quiet">Ended in this interval:</span>{" "}
        {ended === undefined ? (
          "–"
        ) : ended.processes === 0 ? (
          "none"
        ) : (
          <Link to="/machines/$machineId/diff" params={{ machineId }} search={{ from: iso(from), to: timestamp }}>
            {endedText(ended)}
          </Link>
        )}
      </span>
      <span title="Interrupts, time taken by the host of a virtual machine, and processes that the agent does not record. The clocks of processes and of cores differ by about one percent.">
        <span className="quiet">Not accounted for:</span> {rest === null ? "–" : `${percent(rest)} CPU`}
        {rest !== null && unknown > 0 && `, including ${countOf(unknown)} with unknown usage`}
      </span>
    </p>
  );
}
