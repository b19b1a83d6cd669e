// The columns of the process table: what they are called, how wide they are, what
// they show, and what goes into an export.
import type { ReactNode } from "react";
import { Sparkline } from "../../../charts/Sparkline";
import { TimeAgo } from "../../../components/Timestamps";
import { bytes, duration, number, percent, rate, share } from "../../../format";
import { cgroupLabel } from "../../../processes/cgroup";
import type { Row, SortKey } from "../../../processes/rows";

/** What cells need to know besides their row. */
export interface CellContext {
  trends: ReadonlyMap<string, readonly (number | null)[]> | undefined;
  totalRam: number | null | undefined;
  intervalMs: number;
  /** The instant of the snapshot; undefined while it is live. */
  at: string | undefined;
}

export interface Column {
  id: string;
  label: string;
  title?: string;
  /** In rem. */
  width: number;
  right?: boolean;
  sort?: SortKey;
  cell: (row: Row, context: CellContext) => ReactNode;
  /** For exports; the cell's numbers with their plain units. */
  value?: (row: Row, context: CellContext) => string | number | null;
}

const zero = (text: string) => <span className="quiet">{text}</span>;
const perSecond = (amount: number | null, { intervalMs }: CellContext) =>
  amount === null || intervalMs <= 0 ? null : (1000 * amount) / intervalMs;
const moved = (amount: number | null, context: CellContext) =>
  amount === 0 ? zero("0") : rate(perSecond(amount, context));

/** All columns but the first, which is the process itself. */
export const columns: Column[] = [
  { id: "pid", label: "PID", width: 5, right: true, sort: "pid", cell: ({ process }) => process.pid },
  {
    id: "ppid",
    label: "Parent",
    width: 5,
    right: true,
    sort: "ppid",
    cell: ({ process }) => process.ppid,
    value: ({ process }) => process.ppid,
  },
  {
    id: "user",
    label: "User",
    width: 6.5,
    sort: "user",
    cell: ({ process }) => <span title={process.user}>{process.user}</span>,
    value: ({ process }) => process.user,
  },
  {
    id: "state",
    label: "S",
    title: "State: R running, S sleeping, D waiting for I/O, Z zombie, T stopped, I idle",
    width: 2.6,
    sort: "state",
    cell: ({ process }) => process.state ?? "",
    value: ({ process }) => process.state ?? null,
  },
  {
    id: "cpu",
    label: "CPU %",
    title: "Percent of one core",
    width: 5,
    right: true,
    sort: "cpu",
    cell: ({ cpu }) =>
      cpu === 0 ? zero("0.0") : <span className={cpu !== null && cpu >= 50 ? "hot" : ""}>{number(cpu, 1)}</span>,
    value: ({ cpu }) => cpu,
  },
  {
    id: "trend",
    label: "10 min",
    title: "CPU in the ten minutes before; the full height is a core, or more where more was used",
    width: 6.5,
    cell: (row, { trends }) => {
      const values = trends?.get(row.key);
      return values ? (
        <Sparkline
          values={values}
          top={100}
          label={`CPU lately: at most ${percent(Math.max(...values.map((value) => value ?? 0)))}`}
        />
      ) : null;
    },
  },
  {
    id: "memory",
    label: "Memory",
    title: "Resident set size",
    width: 5.6,
    right: true,
    sort: "memory",
    cell: ({ memory }) => bytes(memory),
    value: ({ memory }) => memory,
  },
  {
    id: "share",
    label: "Mem %",
    title: "Share of the machine's memory",
    width: 4.6,
    right: true,
    sort: "memory",
    cell: ({ memory }, { totalRam }) => number(share(memory, totalRam), 1),
    value: ({ memory }, { totalRam }) => share(memory, totalRam),
  },
  {
    id: "threads",
    label: "Threads",
    width: 5,
    right: true,
    sort: "threads",
    cell: ({ threads }) => number(threads),
    value: ({ threads }) => threads,
  },
  {
    id: "files",
    label: "Files",
    title: "Open file descriptors",
    width: 4.2,
    right: true,
    sort: "files",
    cell: ({ files }) => number(files),
    value: ({ files }) => files,
  },
  {
    id: "read",
    label: "Read",
    title: "Bytes read per second",
    width: 6,
    right: true,
    sort: "read",
    cell: ({ read }, context) => moved(read, context),
    value: ({ read }, context) => perSecond(read, context),
  },
  {
    id: "write",
    label: "Written",
    title: "Bytes written per second",
    width: 6,
    right: true,
    sort: "write",
    cell: ({ write }, context) => moved(write, context),
    value: ({ write }, context) => perSecond(write, context),
  },
  {
    id: "started",
    label: "Started",
    width: 7.5,
    right: true,
    sort: "started",
    cell: ({ process }, { at }) =>
      !process.started_at ? (
        "–"
      ) : at ? (
        `${duration(Date.parse(at) - Date.parse(process.started_at))} before`
      ) : (
        <TimeAgo at={process.started_at} />
      ),
    value: ({ process }) => process.started_at ?? null,
  },
  {
    id: "group",
    label: "Belongs to",
    title: "The service or container that it belongs to: its control group",
    width: 11,
    sort: "group",
    cell: ({ process }) => (process.cgroup ? <span title={process.cgroup}>{cgroupLabel(process.cgroup)}</span> : ""),
    value: ({ process }) => process.cgroup ?? null,
  },
];

/** What is shown unless somebody chooses otherwise. */
export const usualColumns = ["pid", "user", "state", "cpu", "trend", "memory", "threads", "read", "write"];

/** The columns with these ids, in their usual order; the usual ones where none is known. */
export function columnsOf(ids: readonly string[] | undefined): Column[] {
  const chosen = columns.filter(({ id }) => ids?.includes(id));
  return chosen.length > 0 ? chosen : columns.filter(({ id }) => usualColumns.includes(id));
}
