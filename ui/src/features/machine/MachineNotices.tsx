import type { Machine } from "../../api/client";
import { Notice } from "../../components/Notice";
import { DateTime, TimeAgo } from "../../components/Timestamps";

interface MachineNoticesProps {
  machine: Machine | undefined;
  isLive: boolean;
  unreachable: boolean;
  chartError: Error | null;
  chartTruncated: boolean;
}

/** Explains why the data of a machine's page is incomplete or out of date. */
export function MachineNotices({ machine, isLive, unreachable, chartError, chartTruncated }: MachineNoticesProps) {
  return (
    <>
      {unreachable && (
        <Notice kind="error" title="Cannot reach the server.">
          Retrying… Showing the last data received.
        </Notice>
      )}
      {isLive && machine?.status === "stale" && (
        <Notice kind="error" title="This machine is silent.">
          Last seen <TimeAgo at={machine.last_seen} />.{" "}
          {machine.last_snapshot ? (
            <>
              Its last snapshot is from <DateTime at={machine.last_snapshot} />.
            </>
          ) : (
            "It has not sent a snapshot."
          )}
        </Notice>
      )}
      {isLive && machine && !machine.enabled && machine.status !== "stale" && (
        <Notice title="Snapshots are disabled.">The agent only sends heartbeats.</Notice>
      )}
      {isLive && machine?.status === "up" && machine.enabled && machine.outdated && machine.last_snapshot && (
        <Notice kind="error" title="The last snapshot is old.">
          The agent reports, but its last snapshot is from <DateTime at={machine.last_snapshot} />.
        </Notice>
      )}
      {chartError && !unreachable && (
        <Notice kind="error" title="Could not load the charts.">
          {chartError.message}
        </Notice>
      )}
      {chartTruncated && (
        <Notice title="Too many snapshots for one chart.">Select a shorter time range to see all of them.</Notice>
      )}
    </>
  );
}
