import { memo } from "react";
import type { CellContext, Column } from "./columns";
import type { Process } from "../../../processes/process";
import type { Row } from "../../../processes/rows";

/** The address of a process's page. Made by hand: the router's links cost more than the rest of a row, and hundreds come by while somebody scrolls. */
export function processHref(machineId: string, { pid, started_at }: Process, at: string | undefined): string {
  const search = new URLSearchParams({ ...(started_at && { started: started_at }), ...(at && { at }) }).toString();
  return `/machines/${encodeURIComponent(machineId)}/processes/${pid}${search && `?${search}`}`;
}

interface ProcessRowProps {
  id: string;
  machineId: string;
  row: Row;
  /** Its place among all rows, from 0. */
  index: number;
  tree: boolean;
  selected: boolean;
  columns: Column[];
  context: CellContext;
  onSelect: (key: string) => void;
  onToggle: (key: string) => void;
}

/** One process. */
export const ProcessRow = memo(function ProcessRow({
  id,
  machineId,
  row,
  index,
  tree,
  selected,
  columns,
  context,
  onSelect,
  onToggle,
}: ProcessRowProps) {
  const { process, depth } = row;
  const parent = tree && row.below > 0;
  return (
    <tr
      id={id}
      className={`${row.faint ? "faint" : ""} ${selected ? "selected" : ""}`}
      data-pid={process.pid}
      data-ppid={process.ppid}
      aria-rowindex={index + 2}
      aria-level={depth + 1}
      aria-selected={selected}
      {...(parent && { "aria-expanded": !row.collapsed })}
      onClick={() => onSelect(row.key)}
    >
      <th scope="row">
        <span className="process" style={{ paddingInlineStart: `${Math.min(depth, 40) * 1.1}rem` }}>
          {parent ? (
            <button
              type="button"
              tabIndex={-1}
              className="toggle"
              aria-label={`${row.collapsed ? "Expand" : "Collapse"} ${process.name}`}
              onClick={() => onToggle(row.key)}
            >
              {row.collapsed ? "▸" : "▾"}
            </button>
          ) : (
            <span className="toggle" />
          )}
          <a href={processHref(machineId, process, context.at)} className="name" tabIndex={-1}>
            {process.name}
          </a>
          {row.collapsed && <span className="quiet">+{row.below}</span>}
          <span className="command quiet" title={process.command_line}>
            {process.command_line}
          </span>
        </span>
      </th>
      {columns.map((column) => (
        <td key={column.id} className={column.right ? "right number" : ""}>
          {column.cell(row, context)}
        </td>
      ))}
    </tr>
  );
});
