import { memo } from "react";
import type { Row } from "../../../processes/rows";
import type { CellContext, Column } from "./columns";
import { processHref } from "./processHref";

interface ProcessRowProps {
  id: string;
  machineId: string;
  row: Row;
  /** The position among all rows, from 0. */
  index: number;
  tree: boolean;
  selected: boolean;
  columns: Column[];
  context: CellContext;
  onSelect: (key: string) => void;
  onToggle: (key: string) => void;
}

export const ProcessRow = memo(function ProcessRow(props: ProcessRowProps) {
  const { id, machineId, row, index, tree, selected, columns, context, onSelect, onToggle } = props;
  const { process, depth } = row;
  const expandable = tree && row.descendants > 0;
  return (
    <tr
      id={id}
      className={`${row.contextOnly ? "faint" : ""} ${selected ? "selected" : ""}`}
      data-pid={process.pid}
      data-ppid={process.ppid}
      aria-rowindex={index + 2}
      aria-level={depth + 1}
      aria-selected={selected}
      {...(expandable && { "aria-expanded": !row.collapsed })}
      onClick={() => onSelect(row.key)}
    >
      <th scope="row">
        <span className="process" style={{ paddingInlineStart: `${Math.min(depth, 40) * 1.1}rem` }}>
          {expandable ? (
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
          {row.collapsed && <span className="quiet">+{row.descendants}</span>}
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
