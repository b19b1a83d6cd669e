import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useDeferredValue, useEffect, useState } from "react";
import { useIsAdmin } from "../../api/account";
import { ApiError, type Machine } from "../../api/client";
import { processTrendsQuery } from "../../api/history";
import { machineName } from "../../api/machineName";
import { machineQuery, snapshotAtQuery } from "../../api/machines";
import { MachineHeading } from "../../components/MachineHeading";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeRangePicker } from "../../components/TimeRangePicker";
import { DateTime, TimeAgo, TimeOfDay } from "../../components/Timestamps";
import { useDebounced } from "../../hooks/useDebounced";
import { useDelayElapsed } from "../../hooks/useDelayElapsed";
import { useNow } from "../../hooks/useNow";
import type { LiveSnapshot } from "../../live/socket";
import { useLive } from "../../live/useLive";
import { type RangeSearch, iso, resolveWindow, zoomRange } from "../../time/range";
import { SnapshotAge } from "../../components/SnapshotAge";
import { SettingsButton } from "./AgentSettings";
import { GapNotice } from "./GapNotice";
import { ExportRangeMenu } from "./ExportRangeMenu";
import { LiveBadge } from "./LiveBadge";
import { MachineCharts } from "./MachineCharts";
import { MachineFacts } from "./MachineFacts";
import { MachineNotices } from "./MachineNotices";
import { Scrubber } from "./Scrubber";
import { SystemDetails } from "./SystemDetails";
import { UnlistedCpu } from "./UnlistedCpu";
import { ProcessTable } from "./table/ProcessTable";
import { useMachineChart } from "./useMachineChart";
import { useSelectedInstant } from "./useSelectedInstant";
import { useSnapshotAt } from "./useSnapshotAt";

/** A machine: live, or at any instant of the past. */
export function MachinePage() {
  const { machineId } = useParams({ from: "/machines/$machineId" });
  return <MachineView key={machineId} machineId={machineId} />;
}

function MachineView({ machineId }: { machineId: string }) {
  const { span, from, to } = useSearch({ from: "/machines/$machineId" });
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const queries = useQueryClient();
  const { at, go, scrub } = useSelectedInstant();
  const isLive = at === undefined;
  const atMs = isLive ? undefined : Date.parse(at);
  const { data: machine, error, failureReason } = useQuery(machineQuery(machineId));
  const live = useLive(machineId, isLive);
  const past = useSnapshotAt(machineId, at);
  const snapshot = useLatestSnapshot(isLive ? live.snapshot : past.error ? null : past.snapshot);
  // In a gap, the snapshot is not the state at the selected instant.
  const gap = past.coverage?.in_gap ? past.coverage : undefined;
  const isOutdated = isLive && machine?.outdated === true;
  const isCurrent = !gap && !isOutdated;
  const now = useWindowEnd(isLive, live.snapshot);
  const window = resolveWindow({ span, from, to }, now, atMs);
  const chart = useMachineChart(machineId, window, isLive ? live.snapshot : undefined);
  // The process table is the main content. The charts are drawn after it, or after a second.
  const showCharts = useDeferredValue(useDelayElapsed(1000) || snapshot !== undefined, false);
  const trends = useProcessTrends(machineId, at, snapshot !== undefined);
  const admin = useIsAdmin();
  const name = machineName(machine, machineId);
  useTitle(name);

  // A millisecond before the shown snapshot, there may be a gap. The snapshot before that is the previous one.
  const goToPrevious = async () => {
    if (!snapshot) return;
    const before = Date.parse(snapshot.timestamp) - 1;
    const previous = await queries.query(snapshotAtQuery(machineId, iso(before))).catch(() => undefined);
    go(previous ? Date.parse(previous.timestamp) : before);
  };
  const setRange = (range: RangeSearch) =>
    void navigate({
      search: (before) => ({ ...before, span: undefined, from: undefined, to: undefined, ...range }),
      resetScroll: false,
    });

  if ((isLive && live.status === "unknown") || isNotFound(error)) return <MachineNotFound />;
  return (
    <main>
      <MachineHeading name={name}>
        {isLive && <LiveBadge status={live.status} machine={machine} />}
        {!isLive && <span className={`badge ${gap ? "off" : "past"}`}>{gap ? "No data" : "Past"}</span>}
        {snapshot && (
          <span className={isLive ? "quiet" : ""} data-testid="instant" data-timestamp={snapshot.timestamp}>
            {isLive && !isOutdated ? <TimeOfDay at={snapshot.timestamp} /> : <DateTime at={snapshot.timestamp} />}
            {!isLive && <SnapshotAge coverage={past.coverage} />}
          </span>
        )}
        <span className="spacer" />
        <TimeRangePicker range={{ span, from, to }} window={window} onChange={setRange} />
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
        <div className="facts-row">
          <MachineFacts machine={machine} uptimeMs={isCurrent ? snapshot?.metrics.uptime_ms : undefined} />
          {admin && <SettingsButton machine={machine} />}
        </div>
      )}
      <MachineNotices
        machine={machine}
        isLive={isLive}
        unreachable={failureReason !== null}
        chartError={chart.error}
        chartTruncated={chart.truncated}
      />
      <MachineCharts
        chart={showCharts ? chart.chart : undefined}
        spans={chart.spans}
        gaps={chart.gaps}
        metrics={isCurrent ? snapshot?.metrics : undefined}
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
        next={past.coverage?.next_timestamp}
        chart={chart.chart}
        spans={chart.spans}
        gaps={chart.gaps}
        onScrub={scrub}
        onPrevious={() => void goToPrevious()}
        onGo={go}
      />
      {gap && snapshot && <GapNotice timestamp={snapshot.timestamp} coverage={gap} onGo={go} />}
      {isOutdated && snapshot && (
        <Notice title="No current data.">
          Showing the last snapshot, from <DateTime at={snapshot.timestamp} /> (<TimeAgo at={snapshot.timestamp} />
          ).
        </Notice>
      )}
      {snapshot && isCurrent && <SystemDetails metrics={snapshot.metrics} />}
      {past.error && (
        <Notice kind="error" title={isNotFound(past.error) ? "No data for this time." : "Could not load the snapshot."}>
          {past.error.message}{" "}
          <button type="button" className="plain" onClick={() => go(undefined)}>
            Show live view
          </button>
        </Notice>
      )}
      {snapshot && isCurrent && <UnlistedCpu machineId={machineId} snapshot={snapshot} cpuCount={machine?.cpu_count} />}
      {snapshot && (
        <ProcessTable
          machineId={machineId}
          machine={name}
          timestamp={snapshot.timestamp}
          processes={snapshot.processes}
          trends={trends}
          totalRam={snapshot.metrics.total_ram}
          intervalMs={snapshot.intervalMs}
          at={isLive ? undefined : snapshot.timestamp}
        />
      )}
      {!snapshot && !past.error && <NoSnapshot machine={isLive ? machine : undefined} />}
    </main>
  );
}

const isNotFound = (error: Error | null) => error instanceof ApiError && error.status === 404;

/** Says why no snapshot is shown, for the live view of a machine or an instant in the past. */
function NoSnapshot({ machine }: { machine: Machine | undefined }) {
  if (!machine || machine.latest) return <Notice title="Loading…" />;
  if (!machine.last_snapshot) return <Notice title="Waiting for the first snapshot…" />;
  return (
    <Notice title="The snapshots of this machine have been deleted.">
      Snapshots are kept for a limited time. The last one was from <DateTime at={machine.last_snapshot} />.
    </Notice>
  );
}

function MachineNotFound() {
  return (
    <main>
      <h1 className="page-title">Machine not found</h1>
      <Notice kind="error" title="This machine does not exist, or you do not have access to it.">
        <Link to="/">All machines</Link>
      </Notice>
    </main>
  );
}

/** Returns the snapshot, or the previous one while it is loading (undefined). There is none if it is null. */
function useLatestSnapshot(snapshot: LiveSnapshot | null | undefined): LiveSnapshot | undefined {
  const [latest, setLatest] = useState<LiveSnapshot>();
  if (snapshot && snapshot !== latest) setLatest(snapshot);
  return snapshot === null ? undefined : (snapshot ?? latest);
}

/**
 * Returns the end of moving windows. It advances with every live snapshot, and with the time if there is none. It stands
 * still in the past.
 */
function useWindowEnd(isLive: boolean, live: LiveSnapshot | undefined): number {
  const [now, setNow] = useState(Date.now);
  const clock = useNow();
  useEffect(() => {
    // eslint-disable-next-line react-hooks/set-state-in-effect -- rendering must not read the clock
    if (isLive) setNow(Math.max(Date.now(), live ? Date.parse(live.timestamp) : 0));
  }, [isLive, live, clock]);
  return now;
}

/** Loads the sparklines of the processes. Their end is rounded to a second, so that fewer are requested. */
function useProcessTrends(machineId: string, at: string | undefined, enabled: boolean) {
  const debounced = useDebounced(at, 250);
  const end = debounced === undefined ? undefined : Math.ceil(Date.parse(debounced) / 1000) * 1000;
  return useQuery({ ...processTrendsQuery(machineId, end), enabled }).data;
}

function useTitle(name: string) {
  useEffect(() => {
    document.title = `${name} · snapwatch`;
    return () => {
      document.title = "snapwatch";
    };
  }, [name]);
}
