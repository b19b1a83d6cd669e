import { useRouter } from "@tanstack/react-router";
import { type KeyboardEvent, type MouseEvent, type RefObject, useId, useRef } from "react";
import { SortableHeader } from "../../../components/SortableHeader";
import { SpacerRow } from "../../../components/SpacerRow";
import { useVisibleRows } from "../../../hooks/useVisibleRows";
import type { Row, SortKey, View } from "../../../processes/rows";
import { ProcessRow } from "./ProcessRow";
import type { CellContext, Column } from "./columns";
import { type Command, commandForKey } from "./keyBindings";

interface ProcessGridProps {
  ref: RefObject<HTMLTableElement | null>;
  machineId: string;
  rows: Row[];
  view: View;
  columns: Column[];
  context: CellContext;
  /** The key of the selected row. */
  selected: string | undefined;
  onSelect: (key: string | undefined) => void;
  onToggle: (key: string) => void;
  onSort: (sort: SortKey) => void;
  /** Runs the commands that do not move the selection. */
  onCommand: (command: Command, row: Row | undefined) => void;
}

/** The height of a row in pixels, as in the style sheet. */
const rowHeight = 26;

/** Reports whether a click should open a link in this tab. */
const isPlainClick = (event: MouseEvent) =>
  event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;

/** The table of processes. It is a component of its own because it renders with every frame while it scrolls. */
export function ProcessGrid(props: ProcessGridProps) {
  const { ref, machineId, rows, view, columns, context, selected, onSelect, onToggle, onSort, onCommand } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const id = useId();
  const router = useRouter();
  const visible = useVisibleRows(rows.length, rowHeight, scroller);
  const index = selected === undefined ? -1 : rows.findIndex((row) => row.key === selected);

  const sorted = (sort: SortKey | undefined) =>
    sort !== view.sort ? undefined : view.descending ? "descending" : "ascending";

  const moveTo = (to: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    onSelect(rows[next]?.key);
    visible.scrollTo(next);
  };
  const collapseOrMoveToParent = (row: Row) => {
    if (row.descendants > 0 && !row.collapsed && !view.flat) onToggle(row.key);
    else if (row.depth > 0) moveTo(rows.findLastIndex((other, i) => i < index && other.depth < row.depth));
  };
  const run = (command: Command) => {
    const row = rows[index];
    switch (command.do) {
      case "move":
        moveTo(index < 0 ? 0 : index + command.by);
        break;
      case "page":
        moveTo(index + command.by * visible.pageSize());
        break;
      case "first":
        moveTo(0);
        break;
      case "last":
        moveTo(rows.length - 1);
        break;
      case "collapse":
        if (row) collapseOrMoveToParent(row);
        break;
      default:
        onCommand(command, row);
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const command = event.target === event.currentTarget ? commandForKey(event) : undefined;
    if (!command) return;
    event.preventDefault();
    run(command);
  };
  // The names are plain links. Let the router open them, so that the page is not reloaded.
  const onClick = (event: MouseEvent) => {
    const link = (event.target as Element).closest("a.name");
    if (!link || !isPlainClick(event)) return;
    event.preventDefault();
    router.history.push(link.getAttribute("href") ?? "/");
  };

  return (
    <div className="scroll long" ref={scroller}>
      <table
        ref={ref}
        className="processes"
        // eslint-disable-next-line jsx-a11y/no-noninteractive-element-to-interactive-role -- as ARIA defines treegrid
        role="treegrid"
        aria-label="Processes"
        aria-rowcount={rows.length + 1}
        aria-activedescendant={
          selected !== undefined && visible.indexes.includes(index) ? `${id}-${selected}` : undefined
        }
        tabIndex={0}
        onKeyDown={onKeyDown}
        onClick={onClick}
        style={{ minWidth: `${20 + columns.reduce((sum, { width }) => sum + width, 0)}rem` }}
      >
        <thead>
          <tr aria-rowindex={1}>
            <SortableHeader label="Process" sorted={sorted("name")} onSort={() => onSort("name")} />
            {columns.map(({ id, label, title, right, width, sort }) => (
              <SortableHeader
                key={id}
                label={label}
                title={title}
                right={right}
                width={width}
                sorted={sorted(sort)}
                onSort={sort && (() => onSort(sort))}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          <SpacerRow height={visible.above} />
          {visible.indexes.map((i) => {
            const row = rows[i]; // undefined if the list has just become shorter
            return (
              row && (
                <ProcessRow
                  key={row.key}
                  id={`${id}-${row.key}`}
                  machineId={machineId}
                  row={row}
                  index={i}
                  tree={!view.flat}
                  selected={i === index}
                  columns={columns}
                  context={context}
                  onSelect={onSelect}
                  onToggle={onToggle}
                />
              )
            );
          })}
          <SpacerRow height={visible.below} />
        </tbody>
      </table>
    </div>
  );
}
