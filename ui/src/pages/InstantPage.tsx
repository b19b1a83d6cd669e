import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ApiError } from "../api/client";
import { instantQuery, machineQuery } from "../api/machines";
import { MachineHeading } from "../components/MachineHeading";
import { MachineTiles } from "../components/MachineTiles";
import { Notice } from "../components/Notice";
import { ProcessTable } from "../processes/ProcessTable";

/** One machine as it was: where links from charts lead. */
export function InstantPage({ machineId, at }: { machineId: string; at: string }) {
  const { data: machine } = useQuery(machineQuery(machineId));
  const { data: snapshot, error } = useQuery(instantQuery(machineId, at));
  const live = (
    <Link to="/machines/$machineId" params={{ machineId }} search={(search) => ({ ...search, at: undefined })}>
      Show it live
    </Link>
  );
  return (
    <main>
      <MachineHeading name={machine?.hostname || machineId}>
        <span className="badge off">{new Date(at).toLocaleString()}</span>
        {snapshot && (
          <span className="quiet" data-testid="instant" data-timestamp={snapshot.timestamp}>
            snapshot of{" "}
            <time dateTime={snapshot.timestamp} title={snapshot.timestamp.replace("T", " ").replace("Z", " UTC")}>
              {new Date(snapshot.timestamp).toLocaleString()}
            </time>
          </span>
        )}
        {live}
      </MachineHeading>
      {error && (
        <Notice kind="error" title={error instanceof ApiError && error.status === 404 ? "There is nothing of that time." : "It could not be read."}>
          {error.message} {live}
        </Notice>
      )}
      {snapshot && <MachineTiles metrics={snapshot.machine_snapshot} cpus={machine?.cpu_count} />}
      {snapshot ? <ProcessTable tree={snapshot.process_tree ?? []} /> : !error && <Notice title="Loading…" />}
    </main>
  );
}
