import { useNavigate, useSearch } from "@tanstack/react-router";
import { memo, useCallback, useMemo, useState } from "react";
import type { ProcessNode } from "../api/client";
import { Notice } from "../components/Notice";
import { bytes, number } from "../format";
import type { MachineSearch } from "../router";
import { ExcludeNames } from "./ExcludeNames";
import { type Row, type SortKey, count, keyOf, rows } from "./rows";

interface Column {
  key: SortKey;
  label: string;
  right: boolean;
  title?: string;
}

const columns: Column[] = [
  { key: "name", label: "Process", right: false },
  { key: "pid", label: "PID", right: true },
  { key: "user", label: "User", right: false },
  { key: "state", label: "S", right: false, title: "State: R running, S sleeping, D waiting for I/O, Z zombie, T stopped, I idle" },
  { key: "cpu", label: "CPU %", right: true, title: "Percent of one core" },
  { key: "memory", label: "Memory", right: true, title: "Resident set size" },
  { key: "threads", label: "Threads", right: true },
  { key: "read", label: "Read", right: true, title: "Bytes read since the snapshot before" },
  { key: "write", label: "Written", right: true, title: "Bytes written since the snapshot before" },
];

/** The processes of one snapshot, as a tree or a list. How they are shown is in the URL. */
export function ProcessTable({ tree }: { tree: ProcessNode[] }) {
  const search = useSearch({ from: "/machines/$machineId" });
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const change = useCallback(
    (change: Partial<MachineSearch>) => void navigate({ search: (before) => ({ ...before, ...change }), replace: true }),
    [navigate],
  );
  const { sort = "pid", desc = false, filter = "", exclude = [], flat = false } = search;
  const shown = useMemo(() => rows(tree, { sort, descending: desc, filter, exclude, flat }, collapsed), [tree, sort, desc, filter, exclude, flat, collapsed]);
  const total = count(tree);

  const toggle = useCallback((key: string) => {
    setCollapsed((before) => {
      const after = new Set(before);
      if (!after.delete(key)) after.add(key);
      return after;
    });
  }, []);
  const collapseAll = () => setCollapsed(new Set(parents(tree)));

  return (
    <section aria-labelledby="processes-title">
      <div className="heading">
        <h2 id="processes-title">Processes</h2>
        <span className="quiet" data-testid="process-count">
          {filter || exclude.length > 0 ? `${shown.filter((row) => !row.faint).length} of ${total}` : total}
        </span>
        <input
          type="search"
          placeholder="Filter by name, command, user, pid"
          aria-label="Filter processes"
          value={filter}
          onChange={(e) => change({ filter: e.target.value || undefined })}
        />
        <ExcludeNames names={exclude} onChange={(names) => change({ exclude: names.length > 0 ? names : undefined })} />
        <span className="spacer" />
        {!flat && (
          <>
            <button type="button" className="plain" onClick={() => setCollapsed(new Set())}>
              Expand all
            </button>
            <button type="button" className="plain" onClick={collapseAll}>
              Collapse all
            </button>
          </>
        )}
        <button type="button" className="plain" aria-pressed={flat} onClick={() => change({ flat: flat ? undefined : true })}>
          {flat ? "Show as tree" : "Show as list"}
        </button>
      </div>
      <div className="scroll">
        <table className="processes" role="treegrid" aria-label="Processes">
          <thead>
            <tr>
              {columns.map((column) => (
                <Heading key={column.key} column={column} sorted={sort === column.key ? (desc ? "descending" : "ascending") : undefined} onSort={change} />
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <ProcessRow key={row.key} row={row} tree={!flat} onToggle={toggle} />
            ))}
          </tbody>
        </table>
      </div>
      {shown.length === 0 && <Notice title={total === 0 ? "This snapshot has no processes." : "No process matches."} />}
    </section>
  );
}

function parents(forest: ProcessNode[]): string[] {
  return forest.flatMap((node) => (node.children?.length ? [keyOf(node), ...parents(node.children)] : []));
}

interface HeadingProps {
  column: Column;
  sorted: "ascending" | "descending" | undefined;
  onSort: (change: Partial<MachineSearch>) => void;
}

function Heading({ column, sorted, onSort }: HeadingProps) {
  // Numbers are looked at from the largest down, texts and pids from the first on.
  const largestFirst = column.right && column.key !== "pid";
  const desc = sorted ? sorted === "ascending" : largestFirst;
  return (
    <th scope="col" className={column.right ? "right" : ""} aria-sort={sorted ?? "none"} title={column.title}>
      <button type="button" className="plain" onClick={() => onSort({ sort: column.key, desc: desc || undefined })}>
        {column.label}
        <span aria-hidden="true">{sorted === "ascending" ? " ▲" : sorted === "descending" ? " ▼" : ""}</span>
      </button>
    </th>
  );
}

interface ProcessRowProps {
  row: Row;
  tree: boolean;
  onToggle: (key: string) => void;
}

const ProcessRow = memo(
  function ProcessRow({ row, tree, onToggle }: ProcessRowProps) {
    const { node } = row;
    const parent = tree && row.below > 0;
    return (
      <tr
        className={row.faint ? "faint" : ""}
        data-pid={node.pid}
        data-ppid={node.ppid}
        aria-level={row.depth + 1}
        {...(parent && { "aria-expanded": !row.collapsed })}
      >
        <th scope="row">
          <span className="process" style={{ paddingInlineStart: `${row.depth * 1.1}rem` }}>
            {parent ? (
              <button type="button" className="toggle" aria-label={`${row.collapsed ? "Expand" : "Collapse"} ${node.name}`} onClick={() => onToggle(row.key)}>
                {row.collapsed ? "▸" : "▾"}
              </button>
            ) : (
              <span className="toggle" />
            )}
            <span className="name">{node.name}</span>
            {row.collapsed && <span className="quiet">+{row.below}</span>}
            <span className="command quiet" title={node.command_line}>
              {node.command_line}
            </span>
          </span>
        </th>
        <td className="right number">{node.pid}</td>
        <td>{node.user}</td>
        <td title={node.state}>{node.state ?? ""}</td>
        <td className={`right number ${row.cpu !== null && row.cpu >= 50 ? "hot" : ""}`}>{row.cpu === 0 ? <span className="quiet">0.0</span> : number(row.cpu, 1)}</td>
        <td className="right number">{bytes(row.memory)}</td>
        <td className="right number">{number(node.threads)}</td>
        <td className="right number">{node.read_bytes === 0 ? <span className="quiet">0</span> : bytes(node.read_bytes)}</td>
        <td className="right number">{node.write_bytes === 0 ? <span className="quiet">0</span> : bytes(node.write_bytes)}</td>
      </tr>
    );
  },
  (before, after) => before.tree === after.tree && before.onToggle === after.onToggle && JSON.stringify(flatRow(before.row)) === JSON.stringify(flatRow(after.row)),
);

/** A row without the processes below it, which have rows of their own. */
function flatRow(row: Row) {
  const { children: _, ...node } = row.node;
  return { ...row, node };
}
