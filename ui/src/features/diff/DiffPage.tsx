import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { diffQuery } from "../../api/history";
import { snapshotAtQuery, machineQuery } from "../../api/machines";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { useDebounced } from "../../hooks/useDebounced";
import { ChangeTable, ShortLivedTable } from "./ChangeTables";
import { InstantCard } from "./InstantCard";
import { csv, download, fileName } from "../../export";
import { MachineHeading } from "../../components/MachineHeading";
import { type ChangeKind, type Measure, compare, newestOf } from "../../processes/diff";
import { keyOf } from "../../processes/process";
import type { DiffSearch } from "./search";

const titles: Record<ChangeKind | "passed", string> = {
  started: "Started",
  ended: "Ended",
  grew: "Grew",
  shrank: "Shrank",
  passed: "Came and went in between",
};

/** Two instants of a machine side by side: what started, ended, grew. */
export function DiffPage() {
  const { machineId } = useParams({ from: "/machines/$machineId/diff" });
  return <Diff key={machineId} machineId={machineId} />;
}

function Diff({ machineId }: { machineId: string }) {
  const { from, to, by = "memory" } = useSearch({ from: "/machines/$machineId/diff" });
  const navigate = useNavigate({ from: "/machines/$machineId/diff" });
  const { data: machine } = useQuery(machineQuery(machineId));
  const [begin, end] = [useDebounced(from, 120), useDebounced(to, 120)];
  const before = useQuery(snapshotAtQuery(machineId, begin));
  const after = useQuery(snapshotAtQuery(machineId, end));
  const { data: between, isFetching } = useQuery(diffQuery(machineId, begin, end));
  const lists = useMemo(
    () => before.data && after.data && compare(before.data.processes ?? [], after.data.processes ?? [], by),
    [before.data, after.data, by],
  );
  const spent = useMemo(
    () =>
      new Map(
        [
          ...(between?.started ?? []),
          ...(between?.ended ?? []),
          ...(between?.grew ?? []),
          ...(between?.shrank ?? []),
        ].map((change) => [keyOf(change), change.cpu_ms]),
      ),
    [between],
  );
  const change = (change: Partial<DiffSearch>) =>
    void navigate({ search: (search) => ({ ...search, ...change }), replace: true, resetScroll: false });
  const error = before.error ?? after.error;
  const name = machine?.hostname || machineId;
  const gone = between?.passed ?? [];

  const table = () =>
    csv(
      [
        "change",
        "pid",
        "name",
        "command_line",
        "user",
        "memory_before",
        "memory_after",
        "threads_before",
        "threads_after",
        "cpu_ms",
      ],
      [
        ...(Object.keys(lists ?? {}) as ChangeKind[]).flatMap((kind) =>
          (lists?.[kind] ?? []).map((one) => {
            const p = newestOf(one);
            return [
              kind,
              p.pid,
              p.name,
              p.command_line,
              p.user,
              one.before?.memory_usage,
              one.after?.memory_usage,
              one.before?.threads,
              one.after?.threads,
              spent.get(keyOf(p)),
            ];
          }),
        ),
        ...gone.map((one) => [
          "passed",
          one.pid,
          one.name,
          one.command_line,
          one.user,
          null,
          null,
          null,
          null,
          one.cpu_ms,
        ]),
      ],
    );

  return (
    <main>
      <MachineHeading name={name} machineId={machineId}>
        <span className="quiet">two instants compared</span>
        <span className="spacer" />
        <div className="range" role="group" aria-label="Compare by">
          {(["memory", "threads"] as Measure[]).map((one) => (
            <button
              key={one}
              type="button"
              className="choice"
              aria-pressed={by === one}
              onClick={() => change({ by: one === "memory" ? undefined : one })}
            >
              {one === "memory" ? "Memory" : "Threads"}
            </button>
          ))}
        </div>
        <button
          type="button"
          className="plain"
          disabled={!lists}
          onClick={() => download(`${fileName(name, "diff")}.csv`, table())}
        >
          Export (CSV)
        </button>
      </MachineHeading>
      <ProgressBar busy={before.isFetching || after.isFetching || isFetching} />
      <div className="sides">
        <InstantCard
          title="Before"
          machineId={machineId}
          at={from}
          timestamp={before.data?.timestamp}
          metrics={before.data?.machine_snapshot}
          processes={before.data?.processes?.length}
          onChange={(at) => change(at < to ? { from: at } : { from: at, to: at })}
        />
        <InstantCard
          title="After"
          machineId={machineId}
          at={to}
          timestamp={after.data?.timestamp}
          metrics={after.data?.machine_snapshot}
          processes={after.data?.processes?.length}
          onChange={(at) => change(at > from ? { to: at } : { from: at, to: at })}
        />
      </div>
      {error && (
        <Notice kind="error" title="One of the instants could not be read.">
          {error.message}
        </Notice>
      )}
      {!lists && !error && <Notice title="Loading…" />}
      {lists && Object.values(lists).every((list) => list.length === 0) && gone.length === 0 && (
        <Notice title="Nothing is different." />
      )}
      {lists &&
        (["started", "ended", "grew", "shrank"] as ChangeKind[]).map((kind) => (
          <ChangeTable
            key={kind}
            title={titles[kind]}
            machineId={machineId}
            from={begin}
            to={end}
            changes={lists[kind]}
            by={by}
            spent={spent}
          />
        ))}
      {gone.length > 0 && <ShortLivedTable title={titles.passed} machineId={machineId} to={end} passed={gone} />}
    </main>
  );
}
