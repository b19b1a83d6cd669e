import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { ApiError, type ProcessPoint } from "../../api/client";
import { processHistoryQuery } from "../../api/history";
import { machineName } from "../../api/machineName";
import { machineQuery, snapshotAtQuery } from "../../api/machines";
import { ProcessCharts } from "../../charts/ProcessCharts";
import { lastInstant } from "../../charts/processSeries";
import { widthOf } from "../../charts/spans";
import { useGaps } from "../../charts/useGaps";
import { MachineHeading } from "../../components/MachineHeading";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeRangePicker } from "../../components/TimeRangePicker";
import { DateTime } from "../../components/Timestamps";
import { SnapshotAge } from "../../components/SnapshotAge";
import { useNow } from "../../hooks/useNow";
import { type ExitStatus, exitText } from "../../processes/exitStatus";
import { findParents, findRelatives } from "../../processes/relatives";
import { hasExited, isShortLived } from "../../processes/replay";
import { iso, resolveWindow, zoomRange } from "../../time/range";
import { IdentityList } from "./IdentityList";
import { ProcessFacts } from "./ProcessFacts";
import { RelativesTable } from "./RelativesTable";
import type { ProcessSearch } from "./search";

/** The history of a process, with its parents and children. */
export function ProcessPage() {
  const { machineId, pid } = useParams({ from: "/machines/$machineId/processes/$pid" });
  return <ProcessView key={`${machineId} ${pid}`} machineId={machineId} pid={Number(pid)} />;
}

const noPoints: ProcessPoint[] = [];

function ProcessView({ machineId, pid }: { machineId: string; pid: number }) {
  const { started, at, span, from, to } = useSearch({ from: "/machines/$machineId/processes/$pid" });
  const navigate = useNavigate({ from: "/machines/$machineId/processes/$pid" });
  const now = useNow();
  const atMs = at === undefined ? undefined : Date.parse(at);
  const window = resolveWindow({ span, from, to }, now, atMs);
  const { data: machine } = useQuery(machineQuery(machineId));
  const history = useQuery(processHistoryQuery({ machineId, pid, startedAt: started }, window));
  const gaps = useGaps(machineId, window);
  const points = useMemo(() => history.data?.points ?? [], [history.data]);
  const isSilent = gaps.gaps.some((gap) => gap.from <= window.from && gap.to >= Math.min(window.to, now));
  const error = history.error ?? gaps.error;
  const last = points.at(-1);
  const startedAt = started ?? history.data?.started_at;
  // The relatives are shown at the selected instant, or at the last one when the process ran.
  const width = widthOf(history.data?.resolution);
  const end = Math.min(now, window.to);
  const lastRunning = useMemo(() => lastInstant(points, width, end, startedAt), [points, width, end, startedAt]);
  const isInNoSnapshot = useMemo(() => isShortLived(points, startedAt, window.from), [points, startedAt, window.from]);
  const instant = isInNoSnapshot ? last?.timestamp : (at ?? lastRunning);
  const snapshot = useQuery({ ...snapshotAtQuery(machineId, instant ?? ""), enabled: instant !== undefined });
  // Without a start time in the URL, it is that of the newest process with this pid, which the history says.
  const known = started !== undefined || history.data !== undefined;
  const ppid = history.data?.identities?.[0]?.ppid;
  const relatives = useMemo(() => {
    const processes = known ? (snapshot.data?.processes ?? []) : [];
    return isInNoSnapshot && ppid !== undefined && startedAt !== undefined
      ? { ancestors: findParents(processes, ppid, startedAt), self: undefined, children: [] }
      : findRelatives(processes, pid, startedAt);
  }, [known, snapshot.data, pid, startedAt, isInNoSnapshot, ppid]);
  const identity = relatives.self ?? history.data?.identities?.[0];
  const update = (change: ProcessSearch) =>
    void navigate({ search: (search) => ({ ...search, ...change }), resetScroll: false });

  if (history.error instanceof ApiError && history.error.status === 404)
    return <ProcessNotFound machineId={machineId} />;
  return (
    <main>
      <MachineHeading name={machineName(machine, machineId)} machineId={machineId}>
        <span className="quiet">/</span>
        <h2>
          {identity?.name ?? "…"} <span className="quiet number">{pid}</span>
        </h2>
        <EndBadge status={history.data} endedAt={last && hasExited(last.state) ? last.timestamp : undefined} />
        <span className="spacer" />
        <TimeRangePicker
          range={{ span, from, to }}
          window={window}
          onChange={(range) => update({ at: undefined, span: undefined, from: undefined, to: undefined, ...range })}
        />
      </MachineHeading>
      <ProgressBar busy={history.isPending || history.isPlaceholderData || snapshot.isFetching} />
      {identity && (
        <p className="facts command-line">
          <code>{identity.command_line || identity.name}</code>
        </p>
      )}
      <ProcessFacts
        machineId={machineId}
        pid={pid}
        identity={identity}
        startedAt={startedAt}
        instant={isInNoSnapshot ? undefined : instant}
      />
      {error && (
        <Notice kind="error" title="Could not load the history.">
          {error.message}
        </Notice>
      )}
      {history.data && !gaps.loading && points.length === 0 && (
        <Notice title={emptyTitle(window.from > now, isSilent)}>Select another time range.</Notice>
      )}
      {history.data?.truncated && (
        <Notice title="Too many samples for one chart.">Select a shorter time range to see all of them.</Notice>
      )}
      <ProcessCharts
        points={gaps.loading ? noPoints : points}
        loading={history.isPending || gaps.loading}
        resolution={history.data?.resolution}
        loadedAt={history.dataUpdatedAt}
        gaps={gaps.gaps}
        startedAt={startedAt}
        window={window}
        mark={atMs}
        onPick={(ms) => update({ at: iso(ms) })}
        onZoom={(begin, end) => update(zoomRange(begin, end))}
      />
      <section aria-label="Parents and children">
        <div className="heading">
          <h2>Parents and children</h2>
          {snapshot.data && (
            <span className="quiet">
              at <DateTime at={snapshot.data.timestamp} />
              <SnapshotAge coverage={snapshot.data} />
              {snapshot.data.in_gap && " – no data for the selected time"}
            </span>
          )}
        </div>
        {isInNoSnapshot && (
          <Notice title="The process started and ended between two snapshots.">
            It is in no process list.{" "}
            {snapshot.data &&
              (relatives.ancestors.length > 0
                ? "These are its parents at the snapshot after it."
                : `Its parent${ppid === undefined ? "" : `, process ${ppid},`} is not in the snapshot after it.`)}
          </Notice>
        )}
        {snapshot.data && !relatives.self && !isInNoSnapshot && (
          <Notice title="The process did not run at this time." />
        )}
        {snapshot.data && <RelativesTable machineId={machineId} relatives={relatives} at={snapshot.data.timestamp} />}
      </section>
      <IdentityList identities={history.data?.identities ?? []} />
    </main>
  );
}

/** Says that a process has ended, how and when, as far as that is known. */
function EndBadge({ status = {}, endedAt }: { status: ExitStatus | undefined; endedAt: string | undefined }) {
  const reason = exitText(status);
  if (reason === undefined && endedAt === undefined) return null;
  return (
    <span className="badge off" data-testid="end">
      Ended{reason !== undefined && `: ${reason}`}
      {reason !== undefined && endedAt !== undefined && " ·"} {endedAt !== undefined && <DateTime at={endedAt} />}
    </span>
  );
}

/** Returns why a range has no data of the process. */
function emptyTitle(isFuture: boolean, isSilent: boolean): string {
  if (isFuture) return "This time range is in the future.";
  return isSilent ? "No data for this time." : "The process did not run at this time.";
}

function ProcessNotFound({ machineId }: { machineId: string }) {
  return (
    <main>
      <h1 className="page-title">Process not found</h1>
      <Notice kind="error" title="This process does not exist, or its data was deleted.">
        <Link to="/machines/$machineId" params={{ machineId }}>
          Show the machine
        </Link>
      </Notice>
    </main>
  );
}
