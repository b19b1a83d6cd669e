import { useQuery } from "@tanstack/react-query";
import { useRef } from "react";
import type { Machine } from "../../api/client";
import { machineTrendsQuery } from "../../api/history";
import { SortableHeader } from "../../components/SortableHeader";
import { SpacerRow } from "../../components/SpacerRow";
import { useDebounced } from "../../hooks/useDebounced";
import { useVisibleRows } from "../../hooks/useVisibleRows";
import { MachineRow } from "./MachineRow";
import type { FleetSortKey } from "./filterMachines";

/** The height of a row in pixels, as in the style sheet. */
const rowHeight = 52;

/** The largest number of machines for which sparklines are requested at a time. */
const maxTrends = 100;

const columns: { key: FleetSortKey; label: string; right?: boolean; width: number }[] = [
  { key: "cpu", label: "CPU", width: 9.5 },
  { key: "memory", label: "Memory", width: 9.5 },
  { key: "disk", label: "Disk", width: 9.5 },
  { key: "load", label: "Load", width: 8.5 },
  { key: "processes", label: "Processes", right: true, width: 6.5 },
  { key: "uptime", label: "Uptime", right: true, width: 7 },
  { key: "seen", label: "Last seen", right: true, width: 7.5 },
];

interface FleetTableProps {
  machines: Machine[];
  sort: FleetSortKey;
  desc: boolean;
  /** True if the list could not be reloaded. */
  outdated: boolean;
  onSort: (sort: FleetSortKey) => void;
}

export function FleetTable({ machines, sort, desc, outdated, onSort }: FleetTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const visible = useVisibleRows(machines.length, rowHeight, scroller);
  const ids = visible.indexes.map((i) => machines[i]?.machine_id).filter((id) => id !== undefined);
  const trendIds = useDebounced(ids.slice(0, maxTrends).join(","), 150);
  const { data: trends } = useQuery(machineTrendsQuery(trendIds ? trendIds.split(",") : []));
  const sorted = (key: FleetSortKey) => (sort !== key ? undefined : desc ? "descending" : "ascending");

  return (
    <div className={`scroll long ${outdated ? "outdated" : ""}`} ref={scroller}>
      <table className="fleet" aria-rowcount={machines.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            <SortableHeader label="Machine" sorted={sorted("name")} onSort={() => onSort("name")} />
            {columns.map(({ key, label, right, width }) => (
              <SortableHeader
                key={key}
                label={label}
                right={right}
                width={width}
                sorted={sorted(key)}
                onSort={() => onSort(key)}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          <SpacerRow height={visible.above} />
          {visible.indexes.map((i) => {
            const machine = machines[i];
            if (!machine) return null;
            const id = machine.machine_id;
            return <MachineRow key={id} machine={machine} index={i} trend={trends?.get(id)} />;
          })}
          <SpacerRow height={visible.below} />
        </tbody>
      </table>
    </div>
  );
}
