import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Process, ProcessMatch, Usage } from "../../api/client";
import { Notice } from "../../components/Notice";
import { DateTime } from "../../components/Timestamps";
import { bytes, spent, percent } from "../../format";
import { keyOf } from "../../processes/process";

interface MatchListProps {
  answer: { results: ProcessMatch[]; next_cursor: string | null };
  /** The instant that was asked about; undefined for a window. */
  at: string | undefined;
}

/** Processes of one machine before somebody asks for all. */
const first = 5;

/** On which machines processes ran. Each leads to the machine at that instant. */
export function MatchList({ answer, at }: MatchListProps) {
  if (answer.results.length === 0)
    return (
      <Notice title="No machine ran it then.">
        {answer.next_cursor && "Not all machines could be looked at; look for something more particular."}
      </Notice>
    );
  return (
    <>
      {answer.results.map((match) => (
        <OneMachine key={match.machine_id} match={match} name={match.hostname || match.machine_id} at={at} />
      ))}
      {answer.next_cursor && (
        <Notice title="There are more machines.">Look for something more particular, or at a shorter time.</Notice>
      )}
    </>
  );
}

function OneMachine({ match, name, at }: { match: ProcessMatch; name: string; at: string | undefined }) {
  const [all, setAll] = useState(false);
  const seen: (Process | Usage)[] = match.processes ?? match.usages ?? [];
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
          {seen.length} {seen.length === 1 ? "process" : "processes"}
          {match.timestamp && (
            <>
              {" "}
              at <DateTime at={match.timestamp} />
            </>
          )}
        </span>
      </div>
      <ul className="rows">
        {seen.slice(0, all ? seen.length : first).map((process) => (
          <li key={keyOf({ pid: process.pid ?? 0, started_at: process.started_at })} data-pid={process.pid}>
            <span className="sighted">
              {process.pid !== undefined && (
                <Link
                  to="/machines/$machineId"
                  params={{ machineId }}
                  search={{ at: at ?? instantIn(process as Usage), filter: String(process.pid) }}
                  title="The machine at that instant"
                >
                  {process.name}
                </Link>
              )}{" "}
              <span className="number quiet">{process.pid}</span> <code className="quiet">{process.command_line}</code>
            </span>
            <span className="number quiet">
              {"cpu_ms_max" in process ? <Used usage={process} /> : <Ran process={process} />}
            </span>
          </li>
        ))}
      </ul>
      {seen.length > first && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${seen.length}`}
        </button>
      )}
    </section>
  );
}

/** An instant of the window at which it ran. */
const instantIn = (usage: Usage): string => usage.latest_sample;

function Ran({ process }: { process: Process }) {
  return (
    <>
      {process.user} · {percent(process.cpu_usage)} · {bytes(process.memory_usage)}
    </>
  );
}

function Used({ usage }: { usage: Usage }) {
  return (
    <>
      <DateTime at={usage.first_sample} /> – <DateTime at={usage.latest_sample} /> · {spent(usage.cpu_ms)} CPU ·{" "}
      {bytes(usage.memory_max)} at most
    </>
  );
}
