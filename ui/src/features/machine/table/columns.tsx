// The columns of the process table: titles, widths, cells, and values for exports.
import type { ReactNode } from "react";
import { Sparkline } from "../../../charts/Sparkline";
import { sparklineLabel } from "../../../charts/sparklineLabel";
import { TimeAgo } from "../../../components/Timestamps";
import { bytes, duration, number, percent, rate, share } from "../../../format";
import { cgroupLabel } from "../../../processes/cgroup";
import type { Row, SortKey, Sums } from "../../../processes/rows";
import { whyUnknown } from "../../../processes/unknownUsage";

/** The data that cells need besides the row. */
export interface CellContext {
  /** The CPU usage of the last ten minutes, by process key. */
  trends: ReadonlyMap<string, readonly (number | null)[]> | undefined;
  totalRam: number | null | undefined;
  intervalMs: number;
  /** The instant of the snapshot; undefined in the live view. */
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
  /** Returns the value for an export, without a unit. Absent if the column is not exported. */
  value?: (row: Row, context: CellContext) => string | number | null;
}

/** A dash for an unknown value, with the reason on hover. */
const unknownCell = ({ intervalMs }: CellContext) => <span title={`Unknown. ${whyUnknown(intervalMs)}`}>–</span>;

/** Renders a value. If a sum leaves out unknown values, the result is "at least", as "≥". */
function sumCell(row: Row, key: keyof Sums, context: CellContext, known: ReactNode): ReactNode {
  const unknown = row.unknown?.[key] ?? 0;
  if (row[key] === null) return unknownCell(context);
  if (unknown === 0) return known;
  return (
    <span title={`The sum leaves out ${unknown} of ${row.descendants + 1} processes. Their values are unknown.`}>
      ≥&nbsp;{known}
    </span>
  );
}

/** Returns a value for an export, like sumCell. */
const sumValue = (row: Row, key: keyof Sums, value: number | null) =>
  value !== null && row.unknown?.[key] ? `≥${value}` : value;

const zero = (text: string) => <span className="quiet">{text}</span>;

const perSecond = (amount: number | null, { intervalMs }: CellContext) =>
  amount === null || intervalMs <= 0 ? null : (1000 * amount) / intervalMs;

const cpuText = (cpu: number | null) =>
  cpu === 0 ? zero("0.0") : <span className={cpu !== null && cpu >= 50 ? "hot" : ""}>{number(cpu, 1)}</span>;

function rateCell(row: Row, key: "read" | "write", context: CellContext): ReactNode {
  if (row[key] === 0) return sumCell(row, key, context, zero("0"));
  const perSec = perSecond(row[key], context);
  return perSec === null ? unknownCell(context) : sumCell(row, key, context, rate(perSec));
}

function TrendCell({ values }: { values: readonly (number | null)[] }) {
  return <Sparkline values={values} top={100} label={sparklineLabel("CPU in the last 10 minutes", values, percent)} />;
}

function StartedCell({ startedAt, at }: { startedAt: string | undefined; at: string | undefined }) {
  if (!startedAt) return "–";
  return at ? `${duration(Date.parse(at) - Date.parse(startedAt))} earlier` : <TimeAgo at={startedAt} />;
}

/** All columns except the first, which has the name and the command line. */
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
    cell: (row, context) => sumCell(row, "cpu", context, cpuText(row.cpu)),
    value: (row) => sumValue(row, "cpu", row.cpu),
  },
  {
    id: "trend",
    label: "10 min",
    title: "CPU in the last 10 minutes. The full height is one core, or the peak if it is higher.",
    width: 6.5,
    cell: (row, { trends }) => {
      const values = trends?.get(row.key);
      return values ? <TrendCell values={values} /> : null;
    },
  },
  {
    id: "memory",
    label: "Memory",
    title: "Resident set size",
    width: 6,
    right: true,
    sort: "memory",
    cell: (row, context) => sumCell(row, "memory", context, bytes(row.memory)),
    value: (row) => sumValue(row, "memory", row.memory),
  },
  {
    id: "share",
    label: "Mem %",
    title: "Percent of the machine’s memory",
    width: 4.6,
    right: true,
    sort: "memory",
    cell: (row, context) => sumCell(row, "memory", context, number(share(row.memory, context.totalRam), 1)),
    value: (row, { totalRam }) => sumValue(row, "memory", share(row.memory, totalRam)),
  },
  {
    id: "threads",
    label: "Threads",
    width: 5,
    right: true,
    sort: "threads",
    cell: (row, context) => sumCell(row, "threads", context, number(row.threads)),
    value: (row) => sumValue(row, "threads", row.threads),
  },
  {
    id: "files",
    label: "Files",
    title: "Open file descriptors",
    width: 4.2,
    right: true,
    sort: "files",
    cell: (row, context) => sumCell(row, "files", context, number(row.files)),
    value: (row) => sumValue(row, "files", row.files),
  },
  {
    id: "read",
    label: "Read",
    title: "Bytes read per second",
    width: 7.4,
    right: true,
    sort: "read",
    cell: (row, context) => rateCell(row, "read", context),
    value: (row, context) => sumValue(row, "read", perSecond(row.read, context)),
  },
  {
    id: "write",
    label: "Written",
    title: "Bytes written per second",
    width: 7.4,
    right: true,
    sort: "write",
    cell: (row, context) => rateCell(row, "write", context),
    value: (row, context) => sumValue(row, "write", perSecond(row.write, context)),
  },
  {
    id: "started",
    label: "Started",
    width: 7.5,
    right: true,
    sort: "started",
    cell: ({ process }, { at }) => <StartedCell startedAt={process.started_at} at={at} />,
    value: ({ process }) => process.started_at ?? null,
  },
  {
    id: "group",
    label: "Service",
    title: "Service or container (control group)",
    width: 11,
    sort: "group",
    cell: ({ process }) => (process.cgroup ? <span title={process.cgroup}>{cgroupLabel(process.cgroup)}</span> : ""),
    value: ({ process }) => process.cgroup ?? null,
  },
];

const defaultColumns = ["pid", "user", "state", "cpu", "trend", "memory", "threads", "read", "write"];

/** Returns the columns with these ids in their fixed order, or the default columns if there are none. */
export function selectColumns(ids: readonly string[] | undefined): Column[] {
  const selected = columns.filter(({ id }) => ids?.includes(id));
  return selected.length > 0 ? selected : columns.filter(({ id }) => defaultColumns.includes(id));
}
