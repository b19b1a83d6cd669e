import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { bytes, cpuTime, number, signedBytes } from "../../format";
import {
  type Change,
  type IdentityChange,
  type Measure,
  difference,
  identityChanges,
  newestOf,
} from "../../processes/diff";
import { type ExitStatus, exitText } from "../../processes/exitStatus";
import { type Process, keyOf } from "../../processes/process";
import { excerpts } from "./excerpts";

/** The number of rows that are shown at first. */
const initialRows = 20;

interface SectionProps {
  title: string;
  count: number;
  /** The number of processes if the server has sent only the first ones. */
  total?: number | undefined;
  /** A sentence above the list. */
  note?: string | undefined;
  /** Renders this many rows. */
  children: (limit: number) => ReactNode;
}

function Section({ title, count, total = count, note, children }: SectionProps) {
  const [all, setAll] = useState(false);
  return (
    <section aria-label={title} className="diff-list">
      <div className="heading">
        <h2>{title}</h2>
        <span className="quiet">
          {total > count ? `${count.toLocaleString()} of ${total.toLocaleString()}` : count.toLocaleString()}
        </span>
      </div>
      {note && <p className="quiet">{note}</p>}
      {count > 0 && <ScrollRegion label={`${title}: list`}>{children(all ? count : initialRows)}</ScrollRegion>}
      {count > initialRows && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : total > count ? `Show ${count.toLocaleString()}` : `Show all ${count.toLocaleString()}`}
        </button>
      )}
    </section>
  );
}

const numberColumns = (titles: string[]) => titles.map((title) => ({ title, right: true }));
const processColumns = [{ title: "Process" }, { title: "PID", right: true }, { title: "User" }];

type ProcessIdentity = Pick<Process, "pid" | "started_at" | "name" | "command_line" | "user">;

function ProcessCells({ machineId, process, at }: { machineId: string; process: ProcessIdentity; at: string }) {
  return (
    <>
      <th scope="row">
        <Link
          to="/machines/$machineId/processes/$pid"
          params={{ machineId, pid: String(process.pid) }}
          search={{ ...(process.started_at && { started: process.started_at }), at }}
        >
          {process.name}
        </Link>{" "}
        <span className="quiet" title={process.command_line}>
          {process.command_line}
        </span>
      </th>
      <td className="right number">{process.pid}</td>
      <td>{process.user}</td>
    </>
  );
}

interface ChangeTableProps {
  title: string;
  machineId: string;
  from: string;
  to: string;
  changes: Change[];
  by: Measure;
  /** CPU time between the two instants, in milliseconds, by process key. */
  cpuMs: ReadonlyMap<string, number | null>;
  /** How processes ended, by process key; undefined for a list of processes that run. */
  exits?: ReadonlyMap<string, ExitStatus> | undefined;
}

const exitColumn = { title: "Exit status" };

/** How a process ended. */
function ExitCell({ status = {} }: { status: ExitStatus | undefined }) {
  return <td>{exitText(status) ?? "–"}</td>;
}

/** Lists the processes with one kind of change. */
export function ChangeTable({ title, machineId, from, to, changes, by, cpuMs, exits }: ChangeTableProps) {
  if (changes.length === 0) return null;
  const valueOf = (process: Process | undefined) =>
    by === "memory" ? bytes(process?.memory_usage) : number(process?.threads);
  const changeOf = (change: Change) => {
    const increase = difference(change, by);
    if (increase === null) return "–";
    return by === "memory" ? signedBytes(increase) : `${increase < 0 ? "−" : "+"}${Math.abs(increase)}`;
  };
  const before = by === "memory" ? "Memory before" : "Threads before";
  return (
    <Section title={title} count={changes.length}>
      {(limit) => (
        <table className={exits ? "diff with-exit" : "diff"}>
          <TableHead
            columns={[
              ...processColumns,
              ...numberColumns([before, "After", "Change", "CPU time"]),
              ...(exits ? [exitColumn] : []),
            ]}
          />
          <tbody>
            {changes.slice(0, limit).map((change) => {
              const process = newestOf(change);
              return (
                <tr key={keyOf(process)} data-pid={process.pid}>
                  <ProcessCells machineId={machineId} process={process} at={change.after ? to : from} />
                  <td className="right number">{valueOf(change.before)}</td>
                  <td className="right number">{valueOf(change.after)}</td>
                  <td className={`right number ${(difference(change, by) ?? 0) > 0 ? "more" : "less"}`}>
                    {changeOf(change)}
                  </td>
                  <td className="right number">{cpuTime(cpuMs.get(keyOf(process)))}</td>
                  {exits && <ExitCell status={exits.get(keyOf(process))} />}
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Section>
  );
}

/** A text that is cut off to one line. A click shows all of it. */
function CutText({ text, excerpt }: { text: string; excerpt: string }) {
  return (
    <details className="cut-text">
      <summary title={text}>
        <span className="excerpt">{excerpt || "–"}</span>
        <span className="whole">{text || "–"}</span>
      </summary>
    </details>
  );
}

/** A part of an identity on two lines, so that a long value does not displace the other one. */
function ChangedPart({ title, before, after }: IdentityChange) {
  const [excerptBefore, excerptAfter] = excerpts(before, after);
  return (
    <div className="identity-change">
      <span className="quiet">{title}</span>
      <CutText text={before} excerpt={excerptBefore} />
      <span className="quiet arrow">→</span>
      <CutText text={after} excerpt={excerptAfter} />
    </div>
  );
}

type IdentityTableProps = Pick<ChangeTableProps, "title" | "machineId" | "to" | "changes">;

/** Lists the processes whose identity changed, with what it was before. */
export function IdentityTable({ title, machineId, to, changes }: IdentityTableProps) {
  if (changes.length === 0) return null;
  return (
    <Section title={title} count={changes.length}>
      {(limit) => (
        <table className="diff wide-last">
          <TableHead columns={[...processColumns, { title: "Before → after" }]} />
          <tbody>
            {changes.slice(0, limit).map((change) => {
              const process = newestOf(change);
              return (
                <tr key={keyOf(process)} data-pid={process.pid}>
                  <ProcessCells machineId={machineId} process={process} at={to} />
                  <td>
                    {identityChanges(change).map((part) => (
                      <ChangedPart key={part.title} {...part} />
                    ))}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Section>
  );
}

interface UsageTableProps {
  title: string;
  machineId: string;
  to: string;
  processes: (ProcessIdentity & Pick<Process, "cpu_ms" | "read_bytes" | "write_bytes">)[];
  total: number;
  /** Says what is unknown. */
  unknown: string | undefined;
}

/** Lists what processes that ran at both instants used in between. */
export function UsageTable({ title, machineId, to, processes, total, unknown }: UsageTableProps) {
  if (processes.length === 0 && unknown === undefined) return null;
  return (
    <Section title={title} count={processes.length} total={total} note={unknown}>
      {(limit) => (
        <table className="diff">
          <TableHead columns={[...processColumns, ...numberColumns(["CPU time", "Read", "Written"])]} />
          <tbody>
            {processes.slice(0, limit).map((process) => (
              <tr key={keyOf(process)} data-pid={process.pid}>
                <ProcessCells machineId={machineId} process={process} at={to} />
                <td className="right number">{cpuTime(process.cpu_ms)}</td>
                <td className="right number">{bytes(process.read_bytes)}</td>
                <td className="right number">{bytes(process.write_bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}

interface ShortLivedTableProps {
  title: string;
  machineId: string;
  to: string;
  processes: (ProcessIdentity & ExitStatus & { cpu_ms: number | null })[];
  total?: number | undefined;
  /** Says what the processes used that are in no snapshot, and which ones are not listed. */
  note: string | undefined;
}

/** Lists the processes that started and ended between the two instants. */
export function ShortLivedTable({ title, machineId, to, processes, total, note }: ShortLivedTableProps) {
  return (
    <Section title={title} count={processes.length} total={total} note={note}>
      {(limit) => (
        <table className="diff with-exit">
          <TableHead columns={[...processColumns, ...numberColumns(["CPU time"]), exitColumn]} />
          <tbody>
            {processes.slice(0, limit).map((process) => (
              <tr key={keyOf(process)} data-pid={process.pid}>
                <ProcessCells machineId={machineId} process={process} at={to} />
                <td className="right number">{cpuTime(process.cpu_ms)}</td>
                <ExitCell status={process} />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}
