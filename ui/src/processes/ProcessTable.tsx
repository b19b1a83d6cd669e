import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useCallback, useId, useMemo, useRef, useState } from "react";
import { Notice } from "../components/Notice";
import { useVisibleRows } from "../components/useVisibleRows";
import { ColumnPanel } from "./ColumnPanel";
import { type CellContext, type Column, columnsOf } from "./columns";
import { ExportMenu } from "./ExportMenu";
import { FilterChips, FilterPanel } from "./FilterPanel";
import { KeysHelp } from "./KeysHelp";
import { type Command, commandOf } from "./keys";
import type { Process } from "./process";
import { ProcessRow } from "./ProcessRow";
import { type Row, type SortKey, filters, parents, rows } from "./rows";
import { useView } from "./useView";

interface ProcessTableProps extends CellContext {
  machineId: string;
  /** For the names of exports. */
  machine: string;
  timestamp: string;
  processes: Process[];
}

/** In pixels; the style sheet has the same. */
const rowHeight = 26;

/** The processes of one snapshot, as a tree or a list. How they are shown is in the URL. */
export function ProcessTable({ machineId, machine, timestamp, processes, trends, totalRam, intervalMs, at }: ProcessTableProps) {
  const { view, change, setNames, chosen, choose } = useView();
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [selected, setSelected] = useState<string>();
  const [help, setHelp] = useState(false);
  const [told, setTold] = useState("");
  const navigate = useNavigate();
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const table = useRef<HTMLTableElement>(null);

  const columns = useMemo(() => columnsOf(chosen), [chosen]);
  const shown = useMemo(() => rows(processes, view, collapsed), [processes, view, collapsed]);
  const users = useMemo(() => [...new Set(processes.map(({ user }) => user))].filter(Boolean).sort(), [processes]);
  const context = useMemo((): CellContext => ({ trends, totalRam, intervalMs, at }), [trends, totalRam, intervalMs, at]);
  const visible = useVisibleRows(shown.length, rowHeight, scroller);
  const index = selected === undefined ? -1 : shown.findIndex((row) => row.key === selected);
  const filtered = filters(view) || view.exclude.length > 0;

  const toggle = useCallback((key: string) => {
    setCollapsed((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  }, []);
  const sortBy = (sort: SortKey) => change({ sort: sort === "pid" ? undefined : sort, desc: (view.sort === sort ? !view.descending : largestFirst(sort)) || undefined });

  const moveTo = (to: number) => {
    const next = Math.max(0, Math.min(shown.length - 1, to));
    setSelected(shown[next]?.key);
    visible.scrollTo(next);
  };

  const run = (command: Command) => {
    const row = shown[index];
    switch (command.do) {
      case "move":
        return moveTo(index < 0 ? 0 : index + command.by);
      case "page":
        return moveTo(index + command.by * visible.page);
      case "first":
        return moveTo(0);
      case "last":
        return moveTo(shown.length - 1);
      case "expand":
        return row?.collapsed && toggle(row.key);
      case "collapse":
        if (row && row.below > 0 && !row.collapsed && !view.flat) return toggle(row.key);
        return row && moveTo(shown.findLastIndex((other, i) => i < index && other.depth < row.depth));
      case "toggle":
        return row && row.below > 0 && toggle(row.key);
      case "expandAll":
        return setCollapsed(new Set());
      case "collapseAll":
        return setCollapsed(new Set(parents(processes)));
      case "open":
        return row && navigate({ to: "/machines/$machineId/processes/$pid", params: { machineId, pid: String(row.process.pid) }, search: { ...(row.process.started_at && { started: row.process.started_at }), ...(at && { at }) } });
      case "filter":
        return search.current?.focus();
      case "clear":
        return change({ filter: undefined });
      case "tree":
        return change({ flat: view.flat ? undefined : true });
      case "sort":
        return change({ sort: command.by === "pid" ? undefined : command.by, desc: largestFirst(command.by) || undefined });
      case "invert":
        return change({ desc: view.descending ? undefined : true });
      case "user":
        return row && change({ user: view.user ? undefined : row.process.user || undefined });
      case "exclude":
        return row && setNames("exclude", [...view.exclude, row.process.name]);
      case "copy":
        return row && void navigator.clipboard?.writeText(row.process.command_line || row.process.name).then(() => setTold(`Copied the command line of ${row.process.name}`));
      case "help":
        return setHelp(true);
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const command = event.target === table.current ? commandOf(event) : undefined;
    if (!command) return;
    event.preventDefault();
    run(command);
  };

  return (
    <section aria-labelledby={`${id}-title`}>
      <div className="heading">
        <h2 id={`${id}-title`}>Processes</h2>
        <span className="quiet" data-testid="process-count">
          {filtered ? `${shown.filter((row) => !row.faint).length} of ${processes.length}` : processes.length}
        </span>
        <input
          ref={search}
          type="search"
          placeholder="Filter by name, command, user, pid"
          aria-label="Filter processes"
          value={view.filter}
          onChange={(e) => change({ filter: e.target.value || undefined })}
          onKeyDown={(e) => (e.key === "Enter" || e.key === "ArrowDown") && (e.preventDefault(), table.current?.focus())}
        />
        <FilterPanel view={view} users={users} onChange={change} onNames={setNames} />
        <FilterChips view={view} onChange={change} onNames={setNames} />
        <span className="spacer" />
        {!view.flat && (
          <>
            <button type="button" className="plain" onClick={() => run({ do: "expandAll" })}>
              Expand all
            </button>
            <button type="button" className="plain" onClick={() => run({ do: "collapseAll" })}>
              Collapse all
            </button>
          </>
        )}
        <button type="button" className="plain" onClick={() => run({ do: "tree" })}>
          {view.flat ? "Show as tree" : "Show as list"}
        </button>
        <ColumnPanel shown={columns} onChange={choose} />
        <ExportMenu machine={machine} timestamp={timestamp} rows={shown} context={context} onTold={setTold} />
        <button type="button" className="plain" onClick={() => setHelp(true)}>
          Keys
        </button>
      </div>
      <div className="scroll long" ref={scroller}>
        <table
          ref={table}
          className="processes"
          role="treegrid"
          aria-label="Processes"
          aria-rowcount={shown.length + 1}
          aria-activedescendant={index >= 0 && visible.indexes.includes(index) ? `${id}-${selected}` : undefined}
          tabIndex={0}
          onKeyDown={onKeyDown}
          style={{ minWidth: `${20 + columns.reduce((sum, { width }) => sum + width, 0)}rem` }}
        >
          <thead>
            <tr aria-rowindex={1}>
              <Heading label="Process" sort="name" view={view} onSort={sortBy} />
              {columns.map((column) => (
                <Heading key={column.id} {...column} view={view} onSort={sortBy} />
              ))}
            </tr>
          </thead>
          <tbody>
            {visible.above > 0 && <Space height={visible.above} />}
            {visible.indexes.map((i) => {
              const row = shown[i] as Row | undefined; // the list may have become shorter
              return (
                row && (
                  <ProcessRow key={row.key} id={`${id}-${row.key}`} machineId={machineId} row={row} index={i} tree={!view.flat} selected={i === index} columns={columns} context={context} onSelect={setSelected} onToggle={toggle} />
                )
              );
            })}
            {visible.below > 0 && <Space height={visible.below} />}
          </tbody>
        </table>
      </div>
      {shown.length === 0 && <Notice title={processes.length === 0 ? "This snapshot has no processes." : "No process matches."} />}
      <span role="status" className="told">
        {told}
      </span>
      {help && <KeysHelp onClose={() => setHelp(false)} />}
    </section>
  );
}

/** Numbers are looked at from the largest down, texts and pids from the first on. */
const largestFirst = (sort: SortKey) => !["pid", "ppid", "name", "user", "state"].includes(sort);

function Space({ height }: { height: number }) {
  return (
    <tr role="presentation" className="space">
      <td style={{ height }} />
    </tr>
  );
}

interface HeadingProps extends Partial<Column> {
  label: string;
  view: { sort: SortKey; descending: boolean };
  onSort(sort: SortKey): void;
}

function Heading({ label, title, width, right, sort, view, onSort }: HeadingProps) {
  const sorted = sort === view.sort ? (view.descending ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" className={right ? "right" : ""} title={title} style={width ? { width: `${width}rem` } : undefined} {...(sort && { "aria-sort": sorted ?? "none" })}>
      {sort ? (
        <button type="button" className="plain" onClick={() => onSort(sort)}>
          {label}
          <span aria-hidden="true">{sorted === "ascending" ? " ▲" : sorted === "descending" ? " ▼" : ""}</span>
        </button>
      ) : (
        label
      )}
    </th>
  );
}
