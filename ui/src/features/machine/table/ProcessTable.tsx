import { useNavigate } from "@tanstack/react-router";
import { useCallback, useId, useMemo, useRef, useState } from "react";
import { Notice } from "../../../components/Notice";
import { ColumnPanel } from "./ColumnPanel";
import { type CellContext, columnsOf } from "./columns";
import { ExportMenu } from "./ExportMenu";
import { FilterChips, FilterPanel } from "./FilterPanel";
import { KeyboardHelp } from "./KeyboardHelp";
import type { Command } from "./keyBindings";
import type { Process } from "../../../processes/process";
import { processHref } from "./ProcessRow";
import { ProcessGrid } from "./ProcessGrid";
import { type Row, type SortKey, filters, parents, rows } from "../../../processes/rows";
import { useProcessView } from "./useProcessView";

interface ProcessTableProps extends CellContext {
  machineId: string;
  /** For the names of exports. */
  machine: string;
  timestamp: string;
  processes: Process[];
}

/** The processes of one snapshot, as a tree or a list. How they are shown is in the URL. */
export function ProcessTable({
  machineId,
  machine,
  timestamp,
  processes,
  trends,
  totalRam,
  intervalMs,
  at,
}: ProcessTableProps) {
  const { view, change, setNames, chosen, choose } = useProcessView();
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [selected, setSelected] = useState<string>();
  const [help, setHelp] = useState(false);
  const [told, setTold] = useState("");
  const navigate = useNavigate();
  const id = useId();
  const search = useRef<HTMLInputElement>(null);
  const table = useRef<HTMLTableElement>(null);

  const columns = useMemo(() => columnsOf(chosen), [chosen]);
  const shown = useMemo(() => rows(processes, view, collapsed), [processes, view, collapsed]);
  const users = useMemo(() => [...new Set(processes.map(({ user }) => user))].filter(Boolean).sort(), [processes]);
  const context = useMemo(
    (): CellContext => ({ trends, totalRam, intervalMs, at }),
    [trends, totalRam, intervalMs, at],
  );
  const filtered = filters(view) || view.exclude.length > 0;

  const toggle = useCallback((key: string) => {
    setCollapsed((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  }, []);
  // By pid, ascending, is nothing in the URL.
  const order = (sort: SortKey, desc: boolean) =>
    change({ sort: sort === "pid" ? undefined : sort, desc: desc || undefined });
  const sortBy = (sort: SortKey) => order(sort, view.sort === sort ? !view.descending : largestFirst(sort));

  /** What a key or a button asks for; row is the one that is selected. */
  const run = (command: Command, row?: Row) => {
    switch (command.do) {
      case "expand": {
        row?.collapsed && toggle(row.key);
        return;
      }
      case "toggle": {
        row && row.below > 0 && toggle(row.key);
        return;
      }
      case "expandAll": {
        setCollapsed(new Set());
        return;
      }
      case "collapseAll": {
        setCollapsed(new Set(parents(processes)));
        return;
      }
      case "open":
        return row && navigate({ href: processHref(machineId, row.process, at) });
      case "filter":
        return search.current?.focus();
      case "clear": {
        change({ filter: undefined });
        return;
      }
      case "tree": {
        change({ flat: view.flat ? undefined : true });
        return;
      }
      case "sort": {
        order(command.by, largestFirst(command.by));
        return;
      }
      case "invert": {
        order(view.sort, !view.descending);
        return;
      }
      case "user": {
        row && change({ user: view.user ? undefined : row.process.user || undefined });
        return;
      }
      case "exclude": {
        row && setNames("exclude", [...view.exclude, row.process.name]);
        return;
      }
      case "copy":
        return (
          row &&
          void navigator.clipboard
            ?.writeText(row.process.command_line || row.process.name)
            .then(() => setTold(`Copied the command line of ${row.process.name}`))
        );
      case "help": {
        setHelp(true);
        return;
      }
    }
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
          onKeyDown={(e) =>
            (e.key === "Enter" || e.key === "ArrowDown") && (e.preventDefault(), table.current?.focus())
          }
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
        <Notice title={processes.length === 0 ? "This snapshot has no processes." : "No process matches."} />
      )}
      <span role="status" className="told">
        {told}
      </span>
      {help && <KeyboardHelp onClose={() => setHelp(false)} />}
    </section>
  );
}

/** Numbers are looked at from the largest down, texts and pids from the first on. */
const largestFirst = (sort: SortKey) => !["pid", "ppid", "name", "user", "state"].includes(sort);
