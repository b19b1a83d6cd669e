import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { Machine } from "../../api/client";
import { machineName } from "../../api/machineName";
import { Sparkline } from "../../charts/Sparkline";
import { sparklineLabel } from "../../charts/sparklineLabel";
import { Meter } from "../../components/Meter";
import { TimeAgo } from "../../components/Timestamps";
import { bytes, duration, number, percent, share } from "../../format";
import { currentMetrics, statusOf } from "./filterMachines";

interface MachineRowProps {
  machine: Machine;
  /** The position in the table, from 0. */
  index: number;
  trend: { cpu_usage: (number | null)[]; load1: (number | null)[] } | undefined;
}

export const MachineRow = memo(function MachineRow({ machine, index, trend }: MachineRowProps) {
  const latest = currentMetrics(machine);
  const status = statusOf(machine);
  const loads = [latest?.load1, latest?.load5, latest?.load15].map((load) => number(load, 2));
  return (
    <tr aria-rowindex={index + 2} className={status === "up" ? "" : "faint"}>
      <th scope="row">
        <span className={`dot ${status}`} role="img" aria-label={status} title={status} />
        <Link to="/machines/$machineId" params={{ machineId: machine.machine_id }}>
          {machineName(machine, machine.machine_id)}
        </Link>
        {status !== "up" && <span className={`state ${status}`}>{status}</span>}
        <span className="quiet block">{[machine.platform, ...machine.tags].filter(Boolean).join(" · ")}</span>
      </th>
      <td>
        <Meter value={latest?.cpu_usage ?? null} label={`${machine.cpu_count} CPUs`} />
        {trend && (
          <Sparkline
            values={trend.cpu_usage}
            top={100}
            label={sparklineLabel("CPU in the last hour", trend.cpu_usage, percent)}
          />
        )}
      </td>
      <UsageCell used={latest?.used_ram} total={latest?.total_ram} />
      <td>
        <Meter
          value={latest?.fullest_disk_usage ?? null}
          label={latest?.fullest_disk ? `${latest.fullest_disk}, the fullest disk` : ""}
        />
        <span className="quiet block">{latest?.fullest_disk}</span>
      </td>
      <td className="number" title={`Load average over 1, 5 and 15 minutes: ${loads.join(", ")}`}>
        {loads[0]}
        {trend && (
          <Sparkline
            values={trend.load1}
            top={machine.cpu_count}
            label={sparklineLabel("Load in the last hour", trend.load1, (load) => number(load, 2))}
          />
        )}
      </td>
      <td className="right number">{number(machine.outdated ? null : machine.process_count)}</td>
      <td className="right">{duration(latest?.uptime_ms)}</td>
      <td className="right">
        <TimeAgo at={machine.last_seen} />
      </td>
    </tr>
  );
});

interface UsageCellProps {
  used: number | null | undefined;
  total: number | null | undefined;
}

function UsageCell({ used, total }: UsageCellProps) {
  return (
    <td>
      <Meter value={share(used, total)} label={`${bytes(used)} of ${bytes(total)}`} />
      <span className="quiet block">{bytes(total)}</span>
    </td>
  );
}
