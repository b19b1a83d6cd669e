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
      {machine?.competing_agents && <CompetingAgents competing={machine.competing_agents} />}
      {machine?.own_processes_only && (
        <Notice kind="error" title="Only the agent's own processes are visible.">
          On this machine, <code>/proc</code> is mounted with <code>hidepid</code>, which hides the processes of other
          users. Give the agent the capability CAP_SYS_PTRACE, or mount <code>/proc</code> without this option.
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

/** Explains that the snapshots of several machines are mixed, and how to separate the machines. */
function CompetingAgents({ competing }: { competing: NonNullable<Machine["competing_agents"]> }) {
  return (
    <Notice kind="error" title="Several agents report as this machine.">
      <p>
        The agents on {inWords(competing.agents.map((agent) => agent.name))} have reported in turns from{" "}
        <DateTime at={competing.since} /> to <DateTime at={competing.last_turn} />. Snapshots from this time are mixed.
        The state directory of one machine was copied to the other, for example with a disk image.
      </p>
      <p>
        On the copy, stop the agent, empty its state directory and start it with an enrolment key. If both machines have
        the same <code>/etc/machine-id</code>, create a new one there first.
      </p>
    </Notice>
  );
}

/** Joins names as in a sentence. */
const inWords = (names: string[]) => new Intl.ListFormat("en").format(names);
