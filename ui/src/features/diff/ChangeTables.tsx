import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { bytes, difference as signed, number, spent as asTime } from "../../format";
import { type Change, type Measure, difference, newestOf } from "../../processes/diff";
import { type Process, keyOf } from "../../processes/process";

/** Rows of a list before somebody asks for all. */
const first = 20;

function Section({ title, count, children }: { title: string; count: number; children: (many: number) => ReactNode }) {
  const [all, setAll] = useState(false);
  return (
    <section aria-label={title} className="diff-list">
      <div className="heading">
        <h2>{title}</h2>
        <span className="quiet">{count}</span>
      </div>
      <ScrollRegion label={`${title}: list`}>{children(all ? count : first)}</ScrollRegion>
      {count > first && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${count}`}
        </button>
      )}
    </section>
  );
}

const columnsOf = (by: Measure | undefined) => [
  { title: "Process" },
  { title: "PID", right: true },
  { title: "User" },
  ...(by ? [by === "memory" ? "Memory before" : "Threads before", "After", "Change"] : []).map((title) => ({
    title,
    right: true,
  })),
  { title: "CPU in between", right: true },
];

type Identified = Pick<Process, "pid" | "started_at" | "name" | "command_line" | "user">;

function Subject({ machineId, process, at }: { machineId: string; process: Identified; at: string }) {
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

interface ListProps {
  title: string;
  machineId: string;
  from: string;
  to: string;
  changes: Change[];
  by: Measure;
  spent: ReadonlyMap<string, number | null>;
}

/** Processes of which the same became. */
export function ChangeTable({ title, machineId, from, to, changes, by, spent }: ListProps) {
  if (changes.length === 0) return null;
  const level = (value: number | null | undefined) => (by === "memory" ? bytes(value) : number(value));
  const of = (process: Change["before"]) => level(by === "memory" ? process?.memory_usage : process?.threads);
  const delta = (change: Change) =>
    by === "memory"
      ? signed(difference(change, by))
      : `${difference(change, by) < 0 ? "−" : "+"}${Math.abs(difference(change, by))}`;
  return (
    <Section title={title} count={changes.length}>
      {(many) => (
        <table className="diff">
          <TableHead columns={columnsOf(by)} />
          <tbody>
            {changes.slice(0, many).map((change) => {
              const process = newestOf(change);
              return (
                <tr key={keyOf(process)} data-pid={process.pid}>
                  <Subject machineId={machineId} process={process} at={change.after ? to : from} />
                  <td className="right number">{of(change.before)}</td>
                  <td className="right number">{of(change.after)}</td>
                  <td className={`right number ${difference(change, by) > 0 ? "more" : "less"}`}>{delta(change)}</td>
                  <td className="right number">{asTime(spent.get(keyOf(process)))}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Section>
  );
}

/** What came and went in between: neither instant shows it. */
export function ShortLivedTable({
  title,
  machineId,
  to,
  passed,
}: {
  title: string;
  machineId: string;
  to: string;
  passed: (Identified & { cpu_ms: number | null })[];
}) {
  return (
    <Section title={title} count={passed.length}>
      {(many) => (
        <table className="diff">
          <TableHead columns={columnsOf(undefined)} />
          <tbody>
            {passed.slice(0, many).map((one) => (
              <tr key={keyOf(one)} data-pid={one.pid}>
                <Subject machineId={machineId} process={one} at={to} />
                <td className="right number">{asTime(one.cpu_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}
