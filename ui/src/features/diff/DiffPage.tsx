import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { diffQuery } from "../../api/history";
import { machineName } from "../../api/machineName";
import { machineQuery, snapshotAtQuery } from "../../api/machines";
import { MachineHeading } from "../../components/MachineHeading";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { download, fileName } from "../../export";
import { useDebounced } from "../../hooks/useDebounced";
import { type ChangeKind, type Measure, compare } from "../../processes/diff";
import { keyOf } from "../../processes/process";
import { cpuTimes } from "./cpuTimes";
import { ChangeTable, IdentityTable, ShortLivedTable, UsageTable } from "./ChangeTables";
import { GapsNotice } from "./GapsNotice";
import { InstantCard } from "./InstantCard";
import { UnknownNotice } from "./UnknownNotice";
import { diffCsv } from "./exportCsv";
import type { DiffSearch } from "./search";
import { shortLivedText } from "./shortLivedText";
import { unknownUsageText } from "./unknownUsageText";
import { useGapsBetween } from "./useGapsBetween";

const measures: [Measure, string][] = [
  ["memory", "Memory"],
  ["threads", "Threads"],
];

const sections: [ChangeKind, string][] = [
  ["started", "Started"],
  ["ended", "Ended"],
  ["grew", "Grew"],
  ["shrank", "Shrank"],
];

/** Compares the processes of a machine at two instants. */
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
  const between = useQuery(diffQuery(machineId, begin, end));
  const comparison = useMemo(
    () => before.data && after.data && compare(before.data.processes ?? [], after.data.processes ?? [], by),
    [before.data, after.data, by],
  );
  const differences = comparison?.lists;
  // While other times load, the data is that of the previous ones.
  const isComplete =
    begin === from && end === to && [before, after, between].every((one) => one.data && !one.isPlaceholderData);
  const unknown = comparison?.unknown ?? 0;
  const cpuMs = useMemo(() => cpuTimes(between.data, after.data?.processes ?? []), [between.data, after.data]);
  const exits = useMemo(() => new Map(between.data?.ended.map((one) => [keyOf(one), one])), [between.data]);
  const change = (change: Partial<DiffSearch>) =>
    void navigate({ search: (search) => ({ ...search, ...change }), replace: true, resetScroll: false });
  // While a time is typed, it can be on the wrong side of the other one. Both are kept until they are in order.
  const [typed, setTyped] = useState({ from, to });
  const [address, setAddress] = useState({ from, to });
  if (address.from !== from || address.to !== to) {
    setAddress({ from, to });
    setTyped({ from, to });
  }
  const isReversed = Date.parse(typed.from) > Date.parse(typed.to);
  const select = (times: Partial<DiffSearch>) => {
    const next = { ...typed, ...times };
    setTyped(next);
    if (Date.parse(next.from) <= Date.parse(next.to)) change({ from: next.from, to: next.to });
  };
  const gaps = useGapsBetween(machineId, before.data?.timestamp, after.data?.in_gap ? end : after.data?.timestamp);
  const error = before.error ?? after.error ?? between.error ?? gaps.error;
  const name = machineName(machine, machineId);
  const passed = between.data?.passed ?? [];
  const passedTotal = between.data?.totals.passed ?? 0;
  // The list is sorted by CPU time, so the processes that used CPU time are those that grew.
  const used = [...(between.data?.grew ?? []), ...(between.data?.active ?? [])];
  const usedTotal = (between.data?.totals.grew ?? 0) + (between.data?.totals.active ?? 0);
  const unknownUsage = between.data && unknownUsageText(between.data);
  const sameSnapshot = before.data && before.data.timestamp === after.data?.timestamp;
  const unchanged =
    differences !== undefined &&
    between.data !== undefined &&
    !sameSnapshot &&
    passedTotal === 0 &&
    Object.values(differences).every((list) => list.length === 0);
  const isIncomplete =
    between.data !== undefined &&
    (unknown > 0 || between.data.unseen_processes > 0 || between.data.dropped_snapshots > 0);

  return (
    <main>
      <MachineHeading name={name} machineId={machineId}>
        <span className="quiet">Compare two times</span>
        <span className="spacer" />
        <div className="range" role="group" aria-label="Compare by">
          {measures.map(([measure, label]) => (
            <button
              key={measure}
              type="button"
              className="choice"
              aria-pressed={by === measure}
              onClick={() => change({ by: measure === "memory" ? undefined : measure })}
            >
              {label}
            </button>
          ))}
        </div>
        <button
          type="button"
          className="plain"
          disabled={!isComplete}
          onClick={() =>
            differences && download(`${fileName(name, "diff")}.csv`, diffCsv(differences, between.data, cpuMs))
          }
        >
          Export CSV
        </button>
      </MachineHeading>
      <ProgressBar busy={before.isFetching || after.isFetching || between.isFetching} />
      <div className="sides">
        <InstantCard
          title="Before"
          machineId={machineId}
          at={typed.from}
          snapshot={before.data}
          onChange={(at) => select({ from: at })}
        />
        <InstantCard
          title="After"
          machineId={machineId}
          at={typed.to}
          snapshot={after.data}
          onChange={(at) => select({ to: at })}
        />
      </div>
      {isReversed && <Notice kind="error" title="The first time must be before the second." />}
      {error && (
        <Notice kind="error" title="Could not load the snapshots.">
          {error.message}
        </Notice>
      )}
      {!differences && !error && <Notice title="Loading…" />}
      {sameSnapshot && (
        <Notice title="Both times have the same snapshot.">
          There is no other snapshot between them, so there is nothing to compare.
        </Notice>
      )}
      {!sameSnapshot && gaps.list && gaps.list.length > 0 && (
        <GapsNotice gaps={gaps.list} unchanged={unchanged && !isIncomplete} />
      )}
      {!sameSnapshot && differences && isIncomplete && (
        <UnknownNotice by={by} unknown={unknown} between={between.data} unchanged={unchanged} />
      )}
      {unchanged && !isIncomplete && gaps.list?.length === 0 && (
        <Notice title="No process started, ended or changed.">
          The name, command line, user, parent, control group and{" "}
          {by === "memory" ? "memory usage" : "number of threads"} of each process are the same at both times.{" "}
          {usedText(usedTotal, unknownUsage)}
        </Notice>
      )}
      {differences &&
        sections.map(([kind, title]) => (
          <ChangeTable
            key={kind}
            title={title}
            machineId={machineId}
            from={begin}
            to={end}
            changes={differences[kind]}
            by={by}
            cpuMs={cpuMs}
            exits={kind === "ended" ? exits : undefined}
          />
        ))}
      {differences && <IdentityTable title="Changed" machineId={machineId} to={end} changes={differences.changed} />}
      {passedTotal > 0 && (
        <ShortLivedTable
          title="Started and ended in between"
          machineId={machineId}
          to={end}
          processes={passed}
          total={passedTotal}
          note={between.data && shortLivedText(between.data)}
        />
      )}
      <UsageTable
        title="Ran at both times and used CPU or I/O"
        machineId={machineId}
        to={end}
        processes={used}
        total={usedTotal}
        unknown={unknownUsage}
      />
    </main>
  );
}

/** Says how many processes used something, although none changed. Unknown usage is described beside the list. */
function usedText(count: number, unknown: string | undefined): string {
  if (count === 0) return unknown === undefined ? "No use of CPU or I/O was recorded." : "";
  return count === 1 ? "One process used CPU or I/O." : `${count.toLocaleString()} processes used CPU or I/O.`;
}
