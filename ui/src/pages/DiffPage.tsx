import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type ReactNode, useMemo, useState } from "react";
import type { MachineMetrics } from "../api/client";
import { diffQuery } from "../api/history";
import { instantQuery, machineQuery } from "../api/machines";
import { Notice } from "../components/Notice";
import { Progress } from "../components/Progress";
import { Scroll } from "../components/Scroll";
import { Moment } from "../components/Time";
import { useSettled } from "../components/useSettled";
import { csv, download, fileName } from "../export";
import { bytes, difference as signed, number, spent as asTime, percent, share, utc } from "../format";
import { MachineHeading } from "../machine/MachineHeading";
import { type Change, type ChangeKind, type Measure, compare, difference, eitherOf } from "../processes/diff";
import { keyOf } from "../processes/process";
import type { DiffSearch } from "../search";

const titles: Record<ChangeKind | "passed", string> = { started: "Started", ended: "Ended", grew: "Grew", shrank: "Shrank", passed: "Came and went in between" };

/** Rows of a list before somebody asks for all. */
const first = 20;

/** Two instants of a machine side by side: what started, ended, grew. */
export function DiffPage() {
  const { machineId } = useParams({ from: "/machines/$machineId/diff" });
  return <Diff key={machineId} machineId={machineId} />;
}

function Diff({ machineId }: { machineId: string }) {
  const { from, to, by = "memory" } = useSearch({ from: "/machines/$machineId/diff" });
  const navigate = useNavigate({ from: "/machines/$machineId/diff" });
  const { data: machine } = useQuery(machineQuery(machineId));
  const [begin, end] = [useSettled(from, 120), useSettled(to, 120)];
  const before = useQuery(instantQuery(machineId, begin));
  const after = useQuery(instantQuery(machineId, end));
  const { data: between, isFetching } = useQuery(diffQuery(machineId, begin, end));
  const lists = useMemo(() => before.data && after.data && compare(before.data.processes ?? [], after.data.processes ?? [], by), [before.data, after.data, by]);
  const spent = useMemo(() => new Map([...(between?.started ?? []), ...(between?.ended ?? []), ...(between?.grew ?? []), ...(between?.shrank ?? [])].map((change) => [keyOf(change), change.cpu_ms])), [between]);
  const change = (change: Partial<DiffSearch>) => void navigate({ search: (search) => ({ ...search, ...change }), replace: true, resetScroll: false });
  const error = before.error ?? after.error;
  const name = machine?.hostname || machineId;
  const gone = between?.passed ?? [];

  const table = () =>
    csv(
      ["change", "pid", "name", "command_line", "user", "memory_before", "memory_after", "threads_before", "threads_after", "cpu_ms"],
      [
        ...(Object.keys(lists ?? {}) as ChangeKind[]).flatMap((kind) =>
          (lists?.[kind] ?? []).map((one) => {
            const p = eitherOf(one);
            return [kind, p.pid, p.name, p.command_line, p.user, one.before?.memory_usage, one.after?.memory_usage, one.before?.threads, one.after?.threads, spent.get(keyOf(p))];
          }),
        ),
        ...gone.map((one) => ["passed", one.pid, one.name, one.command_line, one.user, null, null, null, null, one.cpu_ms]),
      ],
    );

  return (
    <main>
      <MachineHeading name={name} machineId={machineId}>
        <span className="quiet">two instants compared</span>
        <span className="spacer" />
        <div className="range" role="group" aria-label="Compare by">
          {(["memory", "threads"] as Measure[]).map((one) => (
            <button key={one} type="button" className="choice" aria-pressed={by === one} onClick={() => change({ by: one === "memory" ? undefined : one })}>
              {one === "memory" ? "Memory" : "Threads"}
            </button>
          ))}
        </div>
        <button type="button" className="plain" disabled={!lists} onClick={() => download(`${fileName(name, "diff")}.csv`, table())}>
          Export (CSV)
        </button>
      </MachineHeading>
      <Progress busy={before.isFetching || after.isFetching || isFetching} />
      <div className="sides">
        <Side title="Before" machineId={machineId} at={from} timestamp={before.data?.timestamp} metrics={before.data?.machine_snapshot} processes={before.data?.processes?.length} onChange={(at) => change(at < to ? { from: at } : { from: at, to: at })} />
        <Side title="After" machineId={machineId} at={to} timestamp={after.data?.timestamp} metrics={after.data?.machine_snapshot} processes={after.data?.processes?.length} onChange={(at) => change(at > from ? { to: at } : { from: at, to: at })} />
      </div>
      {error && <Notice kind="error" title="One of the instants could not be read.">{error.message}</Notice>}
      {!lists && !error && <Notice title="Loading…" />}
      {lists && Object.values(lists).every((list) => list.length === 0) && gone.length === 0 && <Notice title="Nothing is different." />}
      {lists &&
        (["started", "ended", "grew", "shrank"] as ChangeKind[]).map((kind) => <List key={kind} title={titles[kind]} machineId={machineId} from={begin} to={end} changes={lists[kind]} by={by} spent={spent} />)}
      {gone.length > 0 && (
        <Section title={titles.passed} count={gone.length}>
          {(many) => (
            <table className="diff">
              <Header by={undefined} />
              <tbody>
                {gone.slice(0, many).map((one) => (
                  <tr key={keyOf(one)} data-pid={one.pid}>
                    <Subject machineId={machineId} process={one} at={end} />
                    <td className="right number">{asTime(one.cpu_ms)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Section>
      )}
    </main>
  );
}

/** As an input of a local time takes it. */
const local = (at: string) => new Date(Date.parse(at) - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);

interface SideProps {
  title: string;
  machineId: string;
  at: string;
  timestamp: string | undefined;
  metrics: MachineMetrics | undefined;
  processes: number | undefined;
  onChange(at: string): void;
}

function Side({ title, machineId, at, timestamp, metrics: m, processes, onChange }: SideProps) {
  const move = (ms: number) => onChange(new Date(Date.parse(at) + ms).toISOString());
  return (
    <section className="card" aria-label={title}>
      <div className="heading">
        <h2>{title}</h2>
        <input
          type="datetime-local"
          step="1"
          aria-label={`${title}: instant`}
          title={utc(at)}
          value={local(at)}
          onChange={(e) => {
            const time = Date.parse(e.target.value);
            if (!Number.isNaN(time)) onChange(new Date(time).toISOString());
          }}
        />
        <button type="button" className="plain" onClick={() => move(-60_000)}>
          −1 min
        </button>
        <button type="button" className="plain" onClick={() => move(60_000)}>
          +1 min
        </button>
        <span className="spacer" />
        <Link to="/machines/$machineId" params={{ machineId }} search={{ at }}>
          Show all of it
        </Link>
      </div>
      {m && timestamp && (
        <p className="number">
          <Moment at={timestamp} /> · {processes} processes · CPU {percent(m.cpu_usage)} · memory {bytes(m.used_ram)} ({percent(share(m.used_ram, m.total_ram))}) · load {number(m.load1, 2)}
        </p>
      )}
    </section>
  );
}

function Section({ title, count, children }: { title: string; count: number; children(many: number): ReactNode }) {
  const [all, setAll] = useState(false);
  return (
    <section aria-label={title} className="diff-list">
      <div className="heading">
        <h2>{title}</h2>
        <span className="quiet">{count}</span>
      </div>
      <Scroll label={`${title}: list`}>
        {children(all ? count : first)}
      </Scroll>
      {count > first && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${count}`}
        </button>
      )}
    </section>
  );
}

function Header({ by }: { by: Measure | undefined }) {
  return (
    <thead>
      <tr>
        <th scope="col">Process</th>
        <th scope="col" className="right narrow-cell">
          PID
        </th>
        <th scope="col" className="narrow-cell">
          User
        </th>
        {by && (
          <>
            <th scope="col" className="right narrow-cell">
              {by === "memory" ? "Memory before" : "Threads before"}
            </th>
            <th scope="col" className="right narrow-cell">
              After
            </th>
            <th scope="col" className="right narrow-cell">
              Change
            </th>
          </>
        )}
        <th scope="col" className="right narrow-cell">
          CPU in between
        </th>
      </tr>
    </thead>
  );
}

function Subject({ machineId, process, at }: { machineId: string; process: { pid: number; started_at?: string; name: string; command_line: string; user: string }; at: string }) {
  return (
    <>
      <th scope="row">
        <Link to="/machines/$machineId/processes/$pid" params={{ machineId, pid: String(process.pid) }} search={{ ...(process.started_at && { started: process.started_at }), at }}>
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

function List({ title, machineId, from, to, changes, by, spent }: ListProps) {
  if (changes.length === 0) return null;
  const level = (value: number | null | undefined) => (by === "memory" ? bytes(value) : number(value));
  const of = (process: Change["before"]) => level(by === "memory" ? process?.memory_usage : process?.threads);
  const delta = (change: Change) => (by === "memory" ? signed(difference(change, by)) : `${difference(change, by) < 0 ? "−" : "+"}${Math.abs(difference(change, by))}`);
  return (
    <Section title={title} count={changes.length}>
      {(many) => (
        <table className="diff">
          <Header by={by} />
          <tbody>
            {changes.slice(0, many).map((change) => {
              const process = eitherOf(change);
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

