import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { chartQuery, diffQuery } from "../../api/history";
import { machineName } from "../../api/machineName";
import { machineQuery, snapshotAtQuery } from "../../api/machines";
import { MachineHeading } from "../../components/MachineHeading";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { type Gap, findGaps } from "../../charts/gaps";
import { download, fileName } from "../../export";
import { useDebounced } from "../../hooks/useDebounced";
import { type ChangeKind, type Measure, compare } from "../../processes/diff";
import { keyOf } from "../../processes/process";
import { dateTime } from "../../format";
import { ChangeTable, ShortLivedTable } from "./ChangeTables";
import { InstantCard } from "./InstantCard";
import { diffCsv } from "./exportCsv";
import type { DiffSearch } from "./search";

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
  const differences = useMemo(
    () => before.data && after.data && compare(before.data.processes ?? [], after.data.processes ?? [], by),
    [before.data, after.data, by],
  );
  const cpuMs = useMemo(() => {
    const { started = [], ended = [], grew = [], shrank = [] } = between.data ?? {};
    return new Map([started, ended, grew, shrank].flat().map((change) => [keyOf(change), change.cpu_ms]));
  }, [between.data]);
  const change = (change: Partial<DiffSearch>) =>
    void navigate({ search: (search) => ({ ...search, ...change }), replace: true, resetScroll: false });
  const gaps = useGapsBetween(machineId, before.data?.timestamp, after.data?.timestamp);
  const error = before.error ?? after.error ?? between.error;
  const name = machineName(machine, machineId);
  const shortLived = between.data?.passed ?? [];
  const sameSnapshot = before.data && before.data.timestamp === after.data?.timestamp;
  const unchanged =
    differences &&
    between.data &&
    !sameSnapshot &&
    shortLived.length === 0 &&
    Object.values(differences).every((list) => list.length === 0);

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
          disabled={!differences}
          onClick={() =>
            differences && download(`${fileName(name, "diff")}.csv`, diffCsv(differences, shortLived, cpuMs))
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
          at={from}
          snapshot={before.data}
          onChange={(at) => change(at < to ? { from: at } : { from: at, to: at })}
        />
        <InstantCard
          title="After"
          machineId={machineId}
          at={to}
          snapshot={after.data}
          onChange={(at) => change(at > from ? { to: at } : { from: at, to: at })}
        />
      </div>
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
      {gaps.length > 0 && <GapsNotice gaps={gaps} />}
      {unchanged && <Notice title="No differences." />}
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
          />
        ))}
      {shortLived.length > 0 && (
        <ShortLivedTable
          title="Started and ended in between"
          machineId={machineId}
          to={end}
          processes={shortLived}
          total={between.data?.totals.passed}
        />
      )}
    </main>
  );
}

/** Returns the times between two snapshots at which the machine recorded nothing. */
function useGapsBetween(machineId: string, begin: string | undefined, end: string | undefined): Gap[] {
  const [from, to] = [Date.parse(begin ?? ""), Date.parse(end ?? "")];
  const { data, isPlaceholderData } = useQuery({
    ...chartQuery(machineId, { from, to, moving: false }),
    enabled: from < to,
  });
  return useMemo(
    () => (data && from < to && !isPlaceholderData ? findGaps(data.series, data.resolution, { from, to }) : []),
    [data, isPlaceholderData, from, to],
  );
}

/** The number of gaps that are listed. */
const listedGaps = 5;

function GapsNotice({ gaps }: { gaps: Gap[] }) {
  return (
    <Notice title="There are gaps between the two times.">
      Processes that ran only in a gap are not listed. No data:
      <ul>
        {gaps.slice(0, listedGaps).map(({ from, to }) => (
          <li key={from}>
            {dateTime(from)} – {dateTime(to)}
          </li>
        ))}
        {gaps.length > listedGaps && <li>and {gaps.length - listedGaps} more</li>}
      </ul>
    </Notice>
  );
}
