import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { ApiError } from "../../api/client";
import { processHistoryQuery } from "../../api/history";
import { snapshotAtQuery, machineQuery } from "../../api/machines";
import { ProcessCharts } from "../../charts/ProcessCharts";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeRangePicker } from "../../components/TimeRangePicker";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { DateTime } from "../../components/Timestamps";
import { useNow } from "../../hooks/useNow";
import { bytes, duration, percent } from "../../format";
import { MachineHeading } from "../../components/MachineHeading";
import { findRelatives } from "../../processes/relatives";
import { cgroupLabel } from "../../processes/cgroup";
import type { Process } from "../../processes/process";
import { hasExited } from "../../processes/replay";
import { type RangeSearch, iso, resolveWindow, zoomRange } from "../../time/range";

/** One process's life: what it used, who started it and what it started. */
export function ProcessPage() {
  const { machineId, pid } = useParams({ from: "/machines/$machineId/processes/$pid" });
  return <OneProcess key={`${machineId} ${pid}`} machineId={machineId} pid={Number(pid)} />;
}

function OneProcess({ machineId, pid }: { machineId: string; pid: number }) {
  const { started, at, span, from, to } = useSearch({ from: "/machines/$machineId/processes/$pid" });
  const navigate = useNavigate({ from: "/machines/$machineId/processes/$pid" });
  const now = useNow();
  const atMs = at === undefined ? undefined : Date.parse(at);
  const window = resolveWindow({ span, from, to }, now, atMs);
  const { data: machine } = useQuery(machineQuery(machineId));
  const life = useQuery(processHistoryQuery({ machineId, pid, startedAt: started }, window));
  const points = life.data?.points ?? [];
  const last = points.at(-1);
  const startedAt = started ?? life.data?.started_at;
  // The instant whose family is shown: the one that was asked for, or the last at which it ran.
  const alive =
    at ?? (last && hasExited(last.state) ? points.at(-2)?.timestamp : last && iso(Math.min(now, window.to)));
  const family = useQuery({ ...snapshotAtQuery(machineId, alive ?? ""), enabled: alive !== undefined });
  const around = useMemo(
    () => findRelatives(family.data?.processes ?? [], pid, startedAt),
    [family.data, pid, startedAt],
  );
  const identity = around.self ?? life.data?.identities?.[0];
  const go = (change: { at?: string } & RangeSearch) =>
    void navigate({ search: (search) => ({ ...search, ...change }), resetScroll: false });

  if (life.error instanceof ApiError && life.error.status === 404) {
    return (
      <main>
        <h1 className="page-title">Not found</h1>
        <Notice kind="error" title="There is no such process.">
          <Link to="/machines/$machineId" params={{ machineId }}>
            The machine
          </Link>
        </Notice>
      </main>
    );
  }
  return (
    <main>
      <MachineHeading name={machine?.hostname || machineId} machineId={machineId}>
        <span className="quiet">/</span>
        <h2>
          {identity?.name ?? "…"} <span className="quiet number">{pid}</span>
        </h2>
        {last && hasExited(last.state) && (
          <span className="badge off">
            ended <DateTime at={last.timestamp} />
          </span>
        )}
        <span className="spacer" />
        <TimeRangePicker
          range={{ span, from, to }}
          onChange={(range) =>
            void navigate({
              search: (search) => ({
                ...search,
                at: undefined,
                span: undefined,
                from: undefined,
                to: undefined,
                ...range,
              }),
              resetScroll: false,
            })
          }
        />
      </MachineHeading>
      <ProgressBar busy={life.isPending || life.isPlaceholderData || family.isFetching} />
      {identity && (
        <p className="facts command-line">
          <code>{identity.command_line || identity.name}</code>
        </p>
      )}
      <p className="quiet facts">
        {identity?.user && `user ${identity.user} · `}
        {identity?.cgroup && (
          <>
            <span title={identity.cgroup}>of {cgroupLabel(identity.cgroup)}</span> ·{" "}
          </>
        )}
        {startedAt && (
          <>
            started <DateTime at={startedAt} /> ·{" "}
          </>
        )}
        {identity && (
          <Link to="/processes/$name" params={{ name: identity.name }}>
            every {identity.name} on every machine
          </Link>
        )}
        {alive && (
          <>
            {" · "}
            <Link to="/machines/$machineId" params={{ machineId }} search={{ at: alive, filter: String(pid) }}>
              in the tree
            </Link>
          </>
        )}
      </p>
      {life.error && (
        <Notice kind="error" title="Its history could not be read.">
          {life.error.message}
        </Notice>
      )}
      {life.data && points.length === 0 && <Notice title="It did not run in this range.">Choose another one.</Notice>}
      {life.data?.truncated && <Notice title="There is more than a chart can show.">Choose a shorter range.</Notice>}
      <ProcessCharts
        points={points}
        loading={life.isPending}
        raw={life.data?.resolution === "raw"}
        window={window}
        mark={atMs}
        onPick={(ms) => go({ at: iso(ms) })}
        onZoom={(begin, end) => go(zoomRange(begin, end))}
      />
      <section aria-label="Family">
        <div className="heading">
          <h2>Relatives</h2>
          {family.data && (
            <span className="quiet">
              at <DateTime at={family.data.timestamp} />
            </span>
          )}
        </div>
        {family.data && !around.self && <Notice title="It did not run at that instant." />}
        {around.self && (
          <ScrollRegion label="Family: list">
            <table className="diff family">
              <TableHead columns={familyColumns} />
              <tbody>
                {around.parents.map((process, depth) => (
                  <Relative
                    key={process.pid}
                    machineId={machineId}
                    process={process}
                    depth={depth}
                    at={family.data?.timestamp ?? ""}
                    relation="parent"
                  />
                ))}
                <Relative
                  machineId={machineId}
                  process={around.self}
                  depth={around.parents.length}
                  at={family.data?.timestamp ?? ""}
                  relation="self"
                />
                {around.children.map((process) => (
                  <Relative
                    key={`${process.pid} ${process.started_at}`}
                    machineId={machineId}
                    process={process}
                    depth={around.parents.length + 1}
                    at={family.data?.timestamp ?? ""}
                    relation="child"
                  />
                ))}
              </tbody>
            </table>
          </ScrollRegion>
        )}
      </section>
      {life.data?.identities && life.data.identities.length > 1 && (
        <section className="card" aria-label="Names">
          <h2>What it was called</h2>
          <ul className="rows">
            {life.data.identities.map((one, i) => (
              <li key={i}>
                <span>
                  {one.name} <code className="quiet">{one.command_line}</code>
                </span>
                <span className="quiet">
                  child of {one.ppid}, {one.user}
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </main>
  );
}

const familyColumns = [
  { title: "Process" },
  { title: "PID", right: true },
  { title: "User" },
  { title: "CPU", right: true },
  { title: "Memory", right: true },
  { title: "Running for", right: true },
];

function Relative({
  machineId,
  process,
  depth,
  at,
  relation,
}: {
  machineId: string;
  process: Process;
  depth: number;
  at: string;
  relation: "parent" | "self" | "child";
}) {
  return (
    <tr data-pid={process.pid} data-relation={relation} className={relation === "self" ? "selected" : ""}>
      <th scope="row">
        <span className="process" style={{ paddingInlineStart: `${Math.min(depth, 20) * 1.1}rem` }}>
          {relation === "self" ? (
            <span className="name">{process.name}</span>
          ) : (
            <Link
              className="name"
              to="/machines/$machineId/processes/$pid"
              params={{ machineId, pid: String(process.pid) }}
              search={{ ...(process.started_at && { started: process.started_at }), at }}
            >
              {process.name}
            </Link>
          )}
          <span className="command quiet" title={process.command_line}>
            {process.command_line}
          </span>
        </span>
      </th>
      <td className="right number">{process.pid}</td>
      <td>{process.user}</td>
      <td className="right number">{percent(process.cpu_usage)}</td>
      <td className="right number">{bytes(process.memory_usage)}</td>
      <td className="right number">
        {process.started_at ? duration(Date.parse(at) - Date.parse(process.started_at)) : "–"}
      </td>
    </tr>
  );
}
