import { useQuery } from "@tanstack/react-query";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { ApiError, type Machine } from "../api/client";
import { machineQuery } from "../api/machines";
import { useIsAdmin } from "../api/self";
import { ConfigForm } from "../components/ConfigForm";
import { MachineHeading } from "../components/MachineHeading";
import { MachineTiles } from "../components/MachineTiles";
import { Notice } from "../components/Notice";
import { Ago, Time } from "../components/Time";
import type { LiveStatus } from "../live/socket";
import { useLive } from "../live/useLive";
import { ProcessTable } from "../processes/ProcessTable";
import { InstantPage } from "./InstantPage";

/** One machine: live, or at the instant that the address names. */
export function MachinePage() {
  const { machineId } = useParams({ from: "/machines/$machineId" });
  const { at } = useSearch({ from: "/machines/$machineId" });
  return at ? <InstantPage machineId={machineId} at={at} /> : <LivePage machineId={machineId} />;
}

function LivePage({ machineId }: { machineId: string }) {
  const { data: machine, error, failureReason } = useQuery(machineQuery(machineId));
  const { snapshot, status } = useLive(machineId);
  const admin = useIsAdmin();

  if (status === "unknown" || (error instanceof ApiError && error.status === 404)) {
    return (
      <main>
        <Notice kind="error" title="There is no such machine.">
          <Link to="/">All machines</Link>
        </Notice>
      </main>
    );
  }
  return (
    <main>
      <MachineHeading name={machine?.hostname || machineId}>
        <LiveBadge status={status} machine={machine} />
        {snapshot && (
          <span className="quiet" data-testid="instant" data-timestamp={snapshot.timestamp}>
            <Time at={snapshot.timestamp} />
          </span>
        )}
      </MachineHeading>
      {machine && (
        <p className="quiet facts">
          {[machine.platform, machine.kernel, machine.architecture, machine.cpu_model && `${machine.cpu_count} × ${machine.cpu_model}`].filter(Boolean).join(" · ")}
        </p>
      )}
      {failureReason && (
        <Notice kind="error" title="The server does not answer.">
          Trying again. What you see is the last it told.
        </Notice>
      )}
      {machine?.status === "stale" && (
        <Notice kind="error" title="This machine is silent.">
          Its agent was last heard of <Ago at={machine.last_seen} />. What you see is the last it told.
        </Notice>
      )}
      {machine && !machine.enabled && machine.status !== "stale" && (
        <Notice title="Snapshots are disabled.">The agent only sends signs of life. What you see is the last snapshot.</Notice>
      )}
      {snapshot && <MachineTiles metrics={snapshot.metrics} cpus={machine?.cpu_count} />}
      {snapshot ? (
        <ProcessTable tree={snapshot.tree} />
      ) : (
        <Notice title={machine && !machine.last_snapshot ? "Waiting for the first snapshot…" : "Loading…"} />
      )}
      {machine && admin && <ConfigForm key={machineId} machine={machine} />}
    </main>
  );
}

function LiveBadge({ status, machine }: { status: LiveStatus; machine: Machine | undefined }) {
  const live = status === "live";
  const still = live && machine && (machine.status === "stale" || !machine.enabled);
  const label = still ? "connected" : live ? "live" : status === "connecting" ? "connecting…" : "connection lost, trying again…";
  return (
    <span className={`badge ${live && !still ? "up" : status === "lost" ? "stale" : "off"}`} role="status">
      {label}
    </span>
  );
}
