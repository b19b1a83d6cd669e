import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useDeferredValue, useEffect, useRef, useState } from "react";
import { ApiError, type Machine } from "../../api/client";
import { processTrendsQuery } from "../../api/history";
import { machineQuery } from "../../api/machines";
import { useIsAdmin } from "../../api/account";
import { MachineCharts } from "./MachineCharts";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeRangePicker } from "../../components/TimeRangePicker";
import { TimeAgo, DateTime, TimeOfDay } from "../../components/Timestamps";
import { useDelayElapsed } from "../../hooks/useDelayElapsed";
import { useDebounced } from "../../hooks/useDebounced";
import { duration } from "../../format";
import type { LiveSnapshot, LiveStatus } from "../../live/socket";
import { useLive } from "../../live/useLive";
import { AgentSettings } from "./AgentSettings";
import { ExportRangeMenu } from "./ExportRangeMenu";
import { MachineHeading } from "../../components/MachineHeading";
import { Scrubber } from "./Scrubber";
import { SystemDetails } from "./SystemDetails";
import { useSelectedInstant, useSnapshotAt } from "./useSelectedInstant";
import { useMachineChart } from "./useMachineChart";
import { ProcessTable } from "./table/ProcessTable";
import { type RangeSearch, iso, resolveWindow, zoomRange } from "../../time/range";

/** One machine: live, or at any instant of its past. */
export function MachinePage() {
  const { machineId } = useParams({ from: "/machines/$machineId" });
  return <MachineView key={machineId} machineId={machineId} />;
}

function MachineView({ machineId }: { machineId: string }) {
  const { span, from, to } = useSearch({ from: "/machines/$machineId" });
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const { at, go, scrub } = useSelectedInstant();
  const atMs = at === undefined ? undefined : Date.parse(at);
  const { data: machine, error, failureReason } = useQuery(machineQuery(machineId));
  const live = useLive(machineId, at === undefined);
  const past = useSnapshotAt(machineId, at);
  const snapshot = useLatestSnapshot(at === undefined ? live.snapshot : past.error ? null : past.snapshot);
  const now = useWindowEnd(at, live.snapshot);
  const window = resolveWindow({ span, from, to }, now, atMs);
  const chart = useMachineChart(machineId, window, at === undefined ? live.snapshot : undefined);
  // What runs is what somebody came for: charts are drawn once that is there, or is late.
  const draw = useDeferredValue(useDelayElapsed(1000) || snapshot !== undefined, false);
  const settled = useDebounced(at, 250);
  const { data: trends } = useQuery({
    ...processTrendsQuery(machineId, settled === undefined ? undefined : Math.ceil(Date.parse(settled) / 1000) * 1000),
    enabled: snapshot !== undefined,
  });
  const admin = useIsAdmin();
  const name = machine?.hostname || machineId;
  useTitle(name);

  const setRange = (range: RangeSearch) =>
    void navigate({
      search: (before) => ({ ...before, span: undefined, from: undefined, to: undefined, ...range }),
      resetScroll: false,
    });

  if ((at === undefined && live.status === "unknown") || (error instanceof ApiError && error.status === 404)) {
    return (
      <main>
        <h1 className="page-title">Not found</h1>
        <Notice kind="error" title="There is no such machine.">
          <Link to="/">All machines</Link>
        </Notice>
      </main>
    );
  }
  const toLive = (
    <button type="button" className="plain" onClick={() => go(undefined)}>
      Show it live
    </button>
  );
  return (
    <main>
      <MachineHeading name={name}>
        {at === undefined ? (
          <LiveBadge status={live.status} machine={machine} />
        ) : (
          <span className="badge past">the past</span>
        )}
        {snapshot && (
          <span className={at === undefined ? "quiet" : ""} data-testid="instant" data-timestamp={snapshot.timestamp}>
            {at === undefined ? <TimeOfDay at={snapshot.timestamp} /> : <DateTime at={snapshot.timestamp} />}
          </span>
        )}
        <span className="spacer" />
        <TimeRangePicker range={{ span, from, to }} onChange={setRange} />
        <Link
          className="button"
          to="/machines/$machineId/diff"
          params={{ machineId }}
          search={{ from: iso((atMs ?? now) - 600_000), to: iso(atMs ?? now) }}
        >
          Compare
        </Link>
        <ExportRangeMenu machineId={machineId} window={window} />
      </MachineHeading>
      <ProgressBar busy={past.busy || chart.loading} />
      {machine && (
        <p className="quiet facts">
          {[
            machine.platform,
            machine.kernel,
            machine.architecture,
            machine.cpu_model && `${machine.cpu_count} × ${machine.cpu_model}`,
            snapshot?.metrics.uptime_ms && `up ${duration(snapshot.metrics.uptime_ms)}`,
          ]
            .filter(Boolean)
            .join(" · ")}
          {machine.tags.map((tag) => (
            <Link key={tag} to="/" search={{ tag: [tag] }} className="tag">
              {tag}
            </Link>
          ))}
        </p>
      )}
      {failureReason && (
        <Notice kind="error" title="The server does not answer.">
          Trying again. What you see is the last it told.
        </Notice>
      )}
      {at === undefined && machine?.status === "stale" && (
        <Notice kind="error" title="This machine is silent.">
          Its agent was last heard of <TimeAgo at={machine.last_seen} />. What you see is the last it told.
        </Notice>
      )}
      {at === undefined && machine && !machine.enabled && machine.status !== "stale" && (
        <Notice title="Snapshots are disabled.">
          The agent only sends signs of life. What you see is the last snapshot.
        </Notice>
      )}
      {chart.error && !failureReason && (
        <Notice kind="error" title="The charts could not be read.">
          {chart.error.message}
        </Notice>
      )}
      {chart.truncated && (
        <Notice title="There are more snapshots than a chart can show.">Choose a shorter range.</Notice>
      )}
      <MachineCharts
        chart={draw ? chart.chart : undefined}
        metrics={snapshot?.metrics}
        window={window}
        mark={atMs}
        onPick={go}
        onZoom={(begin, end) => setRange(zoomRange(begin, end))}
      />
      <Scrubber
        window={window}
        at={atMs}
        timestamp={snapshot?.timestamp}
        intervalMs={snapshot?.intervalMs ?? 0}
        chart={chart.chart}
        onScrub={scrub}
        onGo={go}
      />
      {snapshot && <SystemDetails metrics={snapshot.metrics} />}
      {past.error && (
        <Notice
          kind="error"
          title={
            past.error instanceof ApiError && past.error.status === 404
              ? "There is nothing of that time."
              : "It could not be read."
          }
        >
          {past.error.message} {toLive}
        </Notice>
      )}
      {snapshot ? (
        <ProcessTable
          machineId={machineId}
          machine={name}
          timestamp={snapshot.timestamp}
          processes={snapshot.processes}
          trends={trends}
          totalRam={snapshot.metrics.total_ram}
          intervalMs={snapshot.intervalMs}
          at={at === undefined ? undefined : snapshot.timestamp}
        />
      ) : (
        !past.error && (
          <Notice
            title={
              at === undefined && machine && !machine.last_snapshot ? "Waiting for the first snapshot…" : "Loading…"
            }
          />
        )
      )}
      {machine && admin && <AgentSettings key={machineId} machine={machine} />}
    </main>
  );
}

/** The last there was, while the next is on its way; null is nothing at all. */
function useLatestSnapshot(snapshot: LiveSnapshot | null | undefined): LiveSnapshot | undefined {
  const last = useRef<LiveSnapshot>(undefined);
  if (snapshot) last.current = snapshot;
  return snapshot === null ? undefined : (snapshot ?? last.current);
}

/** The time by which windows end: it goes on with every live snapshot, and stands still in the past. */
function useWindowEnd(at: string | undefined, live: LiveSnapshot | undefined): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (at === undefined) setNow(Math.max(Date.now(), live ? Date.parse(live.timestamp) : 0));
  }, [at, live]);
  return now;
}

function useTitle(name: string) {
  useEffect(() => {
    document.title = `${name} · snapwatch`;
    return () => {
      document.title = "snapwatch";
    };
  }, [name]);
}

function LiveBadge({ status, machine }: { status: LiveStatus; machine: Machine | undefined }) {
  const live = status === "live";
  const still = live && machine && (machine.status === "stale" || !machine.enabled);
  const label = still
    ? "connected"
    : live
      ? "live"
      : status === "connecting"
        ? "connecting…"
        : "connection lost, trying again…";
  return (
    <span className={`badge ${live && !still ? "up" : status === "lost" ? "stale" : "off"}`} role="status">
      {label}
    </span>
  );
}
