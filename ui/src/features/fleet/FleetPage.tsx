import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { memo, useMemo, useRef } from "react";
import { ApiError, type Machine } from "../../api/client";
import { machineTrendsQuery } from "../../api/history";
import { machinesQuery } from "../../api/machines";
import { useIsAdmin } from "../../api/account";
import { Sparkline } from "../../charts/Sparkline";
import { SortableHeader } from "../../components/SortableHeader";
import { SpacerRow } from "../../components/SpacerRow";
import { Meter } from "../../components/Meter";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeAgo } from "../../components/Timestamps";
import { useDebounced } from "../../hooks/useDebounced";
import { useVisibleRows } from "../../hooks/useVisibleRows";
import { type FleetSortKey, type Status, countStatuses, select, statusOf, tagsOf } from "./filterMachines";
import { bytes, duration, number, percent, share } from "../../format";
import type { FleetSearch } from "./search";

/** In pixels; the style sheet has the same. */
const rowHeight = 52;

const columns: { key: FleetSortKey; label: string; right?: boolean; width: number }[] = [
  { key: "cpu", label: "CPU", width: 9.5 },
  { key: "memory", label: "Memory", width: 9.5 },
  { key: "disk", label: "Disk", width: 9.5 },
  { key: "load", label: "Load", width: 8.5 },
  { key: "processes", label: "Processes", right: true, width: 6.5 },
  { key: "uptime", label: "Uptime", right: true, width: 7 },
  { key: "seen", label: "Last seen", right: true, width: 7.5 },
];

const statuses: Record<Status, string> = { up: "up", silent: "silent", disabled: "disabled" };

/** Every machine that reports, as the URL filters and orders them. */
export function FleetPage() {
  const { data: machines, failureReason, isPending, isFetching } = useQuery(machinesQuery);
  const search = useSearch({ from: "/" });
  const navigate = useNavigate({ from: "/" });
  const admin = useIsAdmin();
  const scroller = useRef<HTMLDivElement>(null);
  const change = (change: Partial<FleetSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false });

  const { q = "", tag = [], status, sort = "name", desc = false } = search;
  const shown = useMemo(
    () => select(machines ?? [], { q, tag, status, sort, desc }),
    [machines, q, tag.join(), status, sort, desc],
  );
  const tags = useMemo(() => tagsOf(machines ?? []), [machines]);
  const counts = useMemo(() => countStatuses(machines ?? []), [machines]);
  const visible = useVisibleRows(shown.length, rowHeight, scroller);
  const wanted = useDebounced(
    visible.indexes
      .map((i) => shown[i]?.machine_id)
      .filter(Boolean)
      .slice(0, 100)
      .join(","),
    150,
  );
  const { data: trends } = useQuery(machineTrendsQuery(wanted ? wanted.split(",") : []));
  const sorted = (key: FleetSortKey) => (sort !== key ? undefined : desc ? "descending" : "ascending");
  const sortBy = (key: FleetSortKey) =>
    change({ sort: key === "name" ? undefined : key, desc: (sort === key ? !desc : key !== "name") || undefined });

  return (
    <main>
      <div className="heading">
        <h1>Machines</h1>
        {machines && (
          <span className="quiet" data-testid="machine-count">
            {shown.length === machines.length ? machines.length : `${shown.length} of ${machines.length}`}
          </span>
        )}
        <input
          type="search"
          placeholder="Filter by name, id, system, tag"
          aria-label="Filter machines"
          value={q}
          onChange={(e) => change({ q: e.target.value || undefined })}
        />
        {machines && machines.length > 0 && (
          <div className="range" role="group" aria-label="Status">
            {(Object.keys(statuses) as Status[]).map((one) => (
              <button
                key={one}
                type="button"
                className="choice"
                aria-pressed={status === one}
                disabled={counts[one] === 0 && status !== one}
                onClick={() => change({ status: status === one ? undefined : one })}
              >
                <span className={`dot ${one}`} aria-hidden="true" />
                {counts[one]} {statuses[one]}
              </button>
            ))}
          </div>
        )}
        <span className="spacer" />
        {admin && (
          <Link className="button" to="/admin" search={{ tab: "enrolment" }}>
            Add machines
          </Link>
        )}
      </div>
      {tags.length > 0 && (
        <div className="chips" role="group" aria-label="Tags">
          {tags.slice(0, 30).map((one) => (
            <button
              key={one}
              type="button"
              className="chip"
              aria-pressed={tag.includes(one)}
              onClick={() =>
                change({
                  tag: tag.includes(one)
                    ? tag.length > 1
                      ? tag.filter((other) => other !== one)
                      : undefined
                    : [...tag, one],
                })
              }
            >
              {one}
            </button>
          ))}
        </div>
      )}
      <ProgressBar busy={isPending && isFetching} />
      {failureReason && (
        <Notice kind="error" title={machines ? "The list is not up to date." : "The machines cannot be loaded."}>
          Trying again. {failureReason instanceof ApiError ? failureReason.message : "The server does not answer."}
        </Notice>
      )}
      {isPending && !failureReason && <Notice title="Loading…" />}
      {machines?.length === 0 && admin && (
        <Notice title="No machine has reported yet.">
          <Link to="/admin" search={{ tab: "enrolment" }}>
            Add a machine
          </Link>
          : it takes one command there.
        </Notice>
      )}
      {machines?.length === 0 && !admin && (
        <Notice title="You see no machine yet.">An administrator grants you machines by their tags.</Notice>
      )}
      {machines && machines.length > 0 && shown.length === 0 && (
        <Notice title="No machine matches.">
          <button
            type="button"
            className="plain"
            onClick={() => change({ q: undefined, tag: undefined, status: undefined })}
          >
            Show all {machines.length}
          </button>
        </Notice>
      )}
      {shown.length > 0 && (
        <div className={`scroll long ${failureReason ? "outdated" : ""}`} ref={scroller}>
          <table className="fleet" aria-rowcount={shown.length + 1}>
            <thead>
              <tr aria-rowindex={1}>
                <SortableHeader label="Machine" sorted={sorted("name")} onSort={() => sortBy("name")} />
                {columns.map(({ key, label, right, width }) => (
                  <SortableHeader
                    key={key}
                    label={label}
                    right={right}
                    width={width}
                    sorted={sorted(key)}
                    onSort={() => sortBy(key)}
                  />
                ))}
              </tr>
            </thead>
            <tbody>
              <SpacerRow height={visible.above} />
              {visible.indexes.map((i) => {
                const machine = shown[i];
                return (
                  machine && (
                    <MachineRow
                      key={machine.machine_id}
                      machine={machine}
                      index={i}
                      trend={trends?.get(machine.machine_id)}
                    />
                  )
                );
              })}
              <SpacerRow height={visible.below} />
            </tbody>
          </table>
        </div>
      )}
    </main>
  );
}

interface Trend {
  cpu_usage: (number | null)[];
  load1: (number | null)[];
}

const MachineRow = memo(function MachineRow({
  machine,
  index,
  trend,
}: {
  machine: Machine;
  index: number;
  trend: Trend | undefined;
}) {
  const { latest } = machine;
  const status = statusOf(machine);
  const most = (values: (number | null)[]) => Math.max(...values.map((value) => value ?? 0));
  return (
    <tr aria-rowindex={index + 2} className={status === "up" ? "" : "faint"}>
      <th scope="row">
        <span className={`dot ${status}`} role="img" aria-label={statuses[status]} title={statuses[status]} />
        <Link to="/machines/$machineId" params={{ machineId: machine.machine_id }}>
          {machine.hostname || machine.machine_id}
        </Link>
        {status !== "up" && <span className={`state ${status}`}>{statuses[status]}</span>}
        <span className="quiet block">{[machine.platform, ...machine.tags].filter(Boolean).join(" · ")}</span>
      </th>
      <td>
        <Meter value={latest?.cpu_usage ?? null} label={`${machine.cpu_count} CPUs`} />
        {trend && (
          <Sparkline
            values={trend.cpu_usage}
            top={100}
            label={`CPU of the last hour: at most ${percent(most(trend.cpu_usage))}`}
          />
        )}
      </td>
      <td>
        <Meter
          value={share(latest?.used_ram, latest?.total_ram)}
          label={`${bytes(latest?.used_ram)} of ${bytes(latest?.total_ram)}`}
        />
        <span className="quiet block">{bytes(latest?.total_ram)}</span>
      </td>
      <td>
        <Meter
          value={share(latest?.used_disk, latest?.total_disk)}
          label={`${bytes(latest?.used_disk)} of ${bytes(latest?.total_disk)}`}
        />
        <span className="quiet block">{bytes(latest?.total_disk)}</span>
      </td>
      <td
        className="number"
        title={`Load of 1, 5 and 15 minutes: ${[latest?.load1, latest?.load5, latest?.load15].map((load) => number(load, 2)).join(", ")}`}
      >
        {number(latest?.load1, 2)}
        {trend && (
          <Sparkline
            values={trend.load1}
            top={machine.cpu_count}
            label={`Load of the last hour: at most ${number(most(trend.load1), 2)}`}
          />
        )}
      </td>
      <td className="right number">{number(machine.process_count)}</td>
      <td className="right">{duration(latest?.uptime_ms)}</td>
      <td className="right">
        <TimeAgo at={machine.last_seen} />
      </td>
    </tr>
  );
});
