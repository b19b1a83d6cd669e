import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { FoundProcess, ProcessMatch, Usage } from "../../api/client";
import { machineName } from "../../api/machineName";
import type { FindCriteria } from "../../api/history";
import { Notice } from "../../components/Notice";
import { DateTime } from "../../components/Timestamps";
import { bytes, cpuTime, percent } from "../../format";
import { useNow } from "../../hooks/useNow";
import { type ExitStatus, exitText } from "../../processes/exitStatus";
import { keyOf } from "../../processes/process";
import { NearestMatches } from "./NearestMatches";
import { processCounts, processesOf } from "./processCounts";
import { isExtended } from "./searchedRange";

interface MatchListProps {
  criteria: FindCriteria;
  answer: {
    from: string;
    to: string;
    results: ProcessMatch[];
    next_cursor: string | null;
    truncated: boolean;
    short_lived_from?: string;
  };
  /** The instant of the search; undefined for a window. */
  at: string | undefined;
}

/** The number of processes of a machine that are shown at first. */
const initialProcesses = 5;

/** Lists the machines on which matching processes ran. */
export function MatchList({ criteria, answer, at }: MatchListProps) {
  const now = useNow();
  if (answer.results.length === 0) {
    return (
      <>
        <SearchedHours criteria={criteria} answer={answer} />
        <ExpiredShortLived from={answer.short_lived_from} />
        <Notice
          title={Date.parse(answer.from) > now ? "This time is in the future." : "No matching processes at this time."}
        >
          {answer.next_cursor ? (
            "Not all machines were searched. Use a more specific search."
          ) : (
            <NearestMatches criteria={criteria} />
          )}
        </Notice>
      </>
    );
  }
  const counts = processCounts(answer);
  return (
    <>
      <SearchedHours criteria={criteria} answer={answer} />
      <ExpiredShortLived from={answer.short_lived_from} />
      {answer.truncated && (
        <Notice title="Not all matching processes are listed.">
          There are more than 10,000, or more than 1,000 on one machine that started and ended between two snapshots.
          Use a more specific search or a shorter time range.
        </Notice>
      )}
      {answer.next_cursor && (
        <Notice title="Not all machines are listed.">
          Number of machines listed: {answer.results.length}. Use a more specific search or a shorter time range.
        </Notice>
      )}
      {answer.results.map((match, i) => (
        <MachineMatches
          key={match.machine_id}
          match={match}
          count={counts[i] ?? ""}
          name={machineName(match, match.machine_id)}
          at={at}
        />
      ))}
    </>
  );
}

/** Names the range that was searched, if it is longer than the requested one: long ranges have whole hours. */
function SearchedHours({ criteria, answer: { from, to } }: Pick<MatchListProps, "criteria" | "answer">) {
  return (
    "from" in criteria &&
    isExtended(criteria, { from, to }) && (
      <p className="quiet">
        The search covers whole hours, because the range is longer than two hours or its snapshots have expired: from{" "}
        <DateTime at={from} /> to <DateTime at={to} />.
      </p>
    )
  );
}

/** Names the time before which short-lived processes are not found, if some have expired. */
function ExpiredShortLived({ from }: { from: string | undefined }) {
  return (
    from !== undefined && (
      <p className="quiet">
        Of the processes that started and ended between two snapshots, those before <DateTime at={from} /> have expired.
        The search does not find them.
      </p>
    )
  );
}

interface MachineMatchesProps {
  match: ProcessMatch;
  /** The number of processes, in words. */
  count: string;
  name: string;
  at: string | undefined;
}

function MachineMatches({ match, count, name, at }: MachineMatchesProps) {
  const [all, setAll] = useState(false);
  const processes = processesOf(match);
  const machineId = match.machine_id;
  return (
    <section className="card match" aria-label={name} data-machine={machineId}>
      <div className="heading">
        <h2>
          <Link to="/machines/$machineId" params={{ machineId }} search={at ? { at } : {}}>
            {name}
          </Link>
        </h2>
        <span className="quiet">
          {count}
          {match.timestamp && (
            <>
              {" "}
              at <DateTime at={match.timestamp} />
            </>
          )}
        </span>
      </div>
      <ul className="rows">
        {processes.slice(0, all ? processes.length : initialProcesses).map((process) => (
          <li key={keyOf({ pid: process.pid ?? 0, started_at: process.started_at })} data-pid={process.pid}>
            <span className="match-process">
              <ProcessLink machineId={machineId} process={process} at={at} />{" "}
              <span className="number quiet">{process.pid}</span> <code className="quiet">{process.command_line}</code>
            </span>
            <span className="number quiet">
              {isUsage(process) ? <UsageSummary usage={process} /> : <ProcessSummary process={process} />}
            </span>
          </li>
        ))}
      </ul>
      {processes.length > initialProcesses && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${processes.length}`}
        </button>
      )}
    </section>
  );
}

/** Reports whether a match is the usage in a window, and not the state at an instant. */
const isUsage = (process: FoundProcess | Usage): process is Usage => "cpu_ms_max" in process;

interface ProcessLinkProps {
  machineId: string;
  process: FoundProcess | Usage;
  /** The instant of the search; undefined for a window. */
  at: string | undefined;
}

/** Leads to the machine at the instant of the search, or at the last snapshot with the process. */
function ProcessLink({ machineId, process, at }: ProcessLinkProps) {
  if (process.pid === undefined) return null;
  const pid = String(process.pid);
  if (isUsage(process))
    return (
      <Link
        to="/machines/$machineId/processes/$pid/latest"
        params={{ machineId, pid }}
        search={{ at: process.latest_sample, started: process.started_at }}
        title="View the machine with this process"
      >
        {process.name}
      </Link>
    );
  return (
    <Link
      to="/machines/$machineId"
      params={{ machineId }}
      search={{ at, filter: pid }}
      title="View the machine at this time"
    >
      {process.name}
    </Link>
  );
}

/** Formats a value, or says that it is unknown. */
const known = (value: number | null, name: string, format: (value: number) => string) =>
  value === null ? `unknown ${name}` : format(value);

/** Says how a process ended, if that is known. */
function EndSummary({ status, title }: { status: ExitStatus; title: string }) {
  const text = exitText(status);
  return text === undefined ? null : (
    <>
      {" "}
      · {title}: {text}
    </>
  );
}

function ProcessSummary({ process }: { process: FoundProcess }) {
  return (
    <>
      {process.user} · {known(process.cpu_usage, "CPU", (value) => `${percent(value)} CPU`)} ·{" "}
      {known(process.memory_usage, "memory", bytes)}
      <EndSummary status={process} title="Ended later" />
    </>
  );
}

function UsageSummary({ usage }: { usage: Usage }) {
  return (
    <>
      <DateTime at={usage.first_sample} />
      {usage.latest_sample !== usage.first_sample && (
        <>
          {" "}
          – <DateTime at={usage.latest_sample} />
        </>
      )}{" "}
      · {known(usage.cpu_ms, "CPU time", (value) => `${cpuTime(value)} CPU time`)} ·{" "}
      {known(usage.memory_max, "memory", (value) => `up to ${bytes(value)}`)}
      <EndSummary status={usage} title="Ended" />
    </>
  );
}
