import { useNavigate } from "@tanstack/react-router";
import { useCallback, useId, useMemo, useRef, useState } from "react";
import { Notice } from "../../../components/Notice";
import { copyText } from "../../../export";
import type { Process } from "../../../processes/process";
import { type Row, type SortKey, isFiltered, parentKeys, rows } from "../../../processes/rows";
import { unknownUsage } from "../../../processes/unknownUsage";
import { ColumnPanel } from "./ColumnPanel";
import { ExportMenu } from "./ExportMenu";
import { FilterChips, FilterPanel } from "./FilterPanel";
import { KeyboardHelp } from "./KeyboardHelp";
import { ProcessGrid } from "./ProcessGrid";
import { type CellContext, selectColumns } from "./columns";
import type { Command } from "./keyBindings";
import { processHref } from "./processHref";
import { useProcessView } from "./useProcessView";

interface ProcessTableProps extends CellContext {
  machineId: string;
  /** The name of the machine, for the names of exported files. */
  machine: string;
  timestamp: string;
  processes: Process[];
}

const ascendingColumns: SortKey[] = ["pid", "ppid", "name", "user", "state"];

/** Reports whether a column is sorted in descending order first. */
const largestFirst = (sort: SortKey) => !ascendingColumns.includes(sort);

/** The processes of a snapshot as a tree or a list, with filters, columns and exports. */
export function ProcessTable(props: ProcessTableProps) {
  const { machineId, machine, timestamp, processes, trends, totalRam, intervalMs, at } = props;
  const { view, change, setNames, columnIds, setColumns } = useProcessView();
  const { collapsed, toggle, setCollapsed } = useCollapsed();
  const [selected, setSelected] = useState<string>();
  const [helpOpen, setHelpOpen] = useState(false);
  const [message, setMessage] = useState("");
  const navigate = useNavigate();
  const id = useId();
  const filterInput = useRef<HTMLInputElement>(null);
  const table = useRef<HTMLTableElement>(null);

  const columns = useMemo(() => selectColumns(columnIds), [columnIds]);
  const shown = useMemo(() => rows(processes, view, collapsed, intervalMs), [processes, view, collapsed, intervalMs]);
  const unknown = useMemo(() => unknownUsage(processes, intervalMs), [processes, intervalMs]);
  const users = useMemo(() => [...new Set(processes.map(({ user }) => user))].filter(Boolean).sort(), [processes]);
  const context = useMemo(
    (): CellContext => ({ trends, totalRam, intervalMs, at }),
    [trends, totalRam, intervalMs, at],
  );

  // Ascending by pid is the default order, which is not in the URL.
  const setOrder = (sort: SortKey, desc: boolean) =>
    change({ sort: sort === "pid" ? undefined : sort, desc: desc || undefined });
  const sortBy = (sort: SortKey) => setOrder(sort, view.sort === sort ? !view.descending : largestFirst(sort));
  const copyCommandLine = async ({ command_line, name }: Process) => {
    if (await copyText(command_line || name)) setMessage(`Copied the command line of ${name}`);
  };

  /** Runs a command that needs the selected row. */
  const runOnRow = (command: Command, row: Row) => {
    switch (command.do) {
      case "expand":
        if (row.collapsed) toggle(row.key);
        break;
      case "toggle":
        if (row.descendants > 0) toggle(row.key);
        break;
      case "open":
        void navigate({ href: processHref(machineId, row.process, at) });
        break;
      case "user":
        change({ user: view.user ? undefined : row.process.user || undefined });
        break;
      case "exclude":
        setNames("exclude", [...view.exclude, row.process.name]);
        break;
      case "copy":
        void copyCommandLine(row.process);
    }
  };
  const run = (command: Command, row?: Row) => {
    switch (command.do) {
      case "expandAll":
        setCollapsed(new Set());
        break;
      case "collapseAll":
        setCollapsed(new Set(parentKeys(processes)));
        break;
      case "filter":
        filterInput.current?.focus();
        break;
      case "clear":
        change({ filter: undefined });
        break;
      case "tree":
        change({ flat: view.flat ? undefined : true });
        break;
      case "sort":
        setOrder(command.by, largestFirst(command.by));
        break;
      case "invert":
        setOrder(view.sort, !view.descending);
        break;
      case "help":
        setHelpOpen(true);
        break;
      default:
        if (row) runOnRow(command, row);
    }
  };

  return (
    <section aria-labelledby={`${id}-title`}>
      <div className="heading">
        <h2 id={`${id}-title`}>Processes</h2>
        <span className="quiet" data-testid="process-count">
          {isFiltered(view) || view.exclude.length > 0
            ? `${shown.filter((row) => !row.contextOnly).length} of ${processes.length}`
            : processes.length}
        </span>
        <input
          ref={filterInput}
          type="search"
          placeholder="Name, command, user or PID"
          aria-label="Filter processes"
          value={view.filter}
          onChange={(e) => change({ filter: e.target.value || undefined })}
          onKeyDown={(e) => {
            if (e.key !== "Enter" && e.key !== "ArrowDown") return;
            e.preventDefault();
            table.current?.focus();
          }}
        />
        <FilterPanel view={view} users={users} onChange={change} onNames={setNames} />
        <FilterChips view={view} onChange={change} onNames={setNames} />
        <span className="spacer" />
        {!view.flat && (
          <>
            <PlainButton label="Expand all" onClick={() => run({ do: "expandAll" })} />
            <PlainButton label="Collapse all" onClick={() => run({ do: "collapseAll" })} />
          </>
        )}
        <PlainButton label={view.flat ? "Show as tree" : "Show as list"} onClick={() => run({ do: "tree" })} />
        <ColumnPanel shown={columns} onChange={setColumns} />
        <ExportMenu machine={machine} timestamp={timestamp} rows={shown} context={context} onCopied={setMessage} />
        <PlainButton label="Keyboard shortcuts" onClick={() => setHelpOpen(true)} />
      </div>
      {unknown && (
        <p className="details quiet" data-testid="unknown-usage">
          {unknown}
        </p>
      )}
      <ProcessGrid
        ref={table}
        machineId={machineId}
        rows={shown}
        view={view}
        columns={columns}
        context={context}
        selected={selected}
        onSelect={setSelected}
        onToggle={toggle}
        onSort={sortBy}
        onCommand={run}
      />
      {shown.length === 0 && (
        <Notice
          title={processes.length === 0 ? "This snapshot has no processes." : "No processes match the filters."}
        />
      )}
      <span role="status" className="status-message">
        {message}
      </span>
      {helpOpen && <KeyboardHelp onClose={() => setHelpOpen(false)} />}
    </section>
  );
}

/** The keys of the collapsed rows. */
function useCollapsed() {
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const toggle = useCallback((key: string) => {
    setCollapsed((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  }, []);
  return { collapsed, toggle, setCollapsed };
}

function PlainButton({ label, onClick }: { label: string; onClick: () => void }) {
  return (
    <button type="button" className="plain" onClick={onClick}>
      {label}
    </button>
  );
}
