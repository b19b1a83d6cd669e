import { useRouter } from "@tanstack/react-router";
import { type KeyboardEvent, type MouseEvent, type RefObject, useId, useRef } from "react";
import { SortableHeader } from "../../../components/SortableHeader";
import { SpacerRow } from "../../../components/SpacerRow";
import { useVisibleRows } from "../../../hooks/useVisibleRows";
import type { CellContext, Column } from "./columns";
import { type Command, commandForKey } from "./keyBindings";
import { ProcessRow } from "./ProcessRow";
import type { Row, SortKey, View } from "../../../processes/rows";

interface ProcessGridProps {
  ref: RefObject<HTMLTableElement | null>;
  machineId: string;
  rows: Row[];
  view: View;
  columns: Column[];
  context: CellContext;
  selected: string | undefined;
  onSelect: (key: string | undefined) => void;
  onToggle: (key: string) => void;
  onSort: (sort: SortKey) => void;
  /** Anything but moving about. */
  onCommand: (command: Command, row: Row | undefined) => void;
}

/** In pixels; the style sheet has the same. */
const rowHeight = 26;

/** The table itself. Apart from what is around it, because it renders with every frame of scrolling. */
export function ProcessGrid({
  ref,
  machineId,
  rows,
  view,
  columns,
  context,
  selected,
  onSelect,
  onToggle,
  onSort,
  onCommand,
}: ProcessGridProps) {
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
  const run = (command: Command) => {
    const row = rows[index];
    switch (command.do) {
      case "move": {
        moveTo(index < 0 ? 0 : index + command.by);
        return;
      }
      case "page": {
        moveTo(index + command.by * visible.page);
        return;
      }
      case "first": {
        moveTo(0);
        return;
      }
      case "last": {
        moveTo(rows.length - 1);
        return;
      }
      case "collapse":
        if (row && row.below > 0 && !row.collapsed && !view.flat) {
          onToggle(row.key);
          return;
        }
        {
          row && row.depth > 0 && moveTo(rows.findLastIndex((other, i) => i < index && other.depth < row.depth));
          return;
        }
      default: {
        onCommand(command, row);
        return;
      }
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const command = event.target === event.currentTarget ? commandForKey(event) : undefined;
    if (!command) return;
    event.preventDefault();
    run(command);
  };
  // Names lead to pages of ours: without loading everything anew, unless somebody wants another tab.
  const onClick = (event: MouseEvent) => {
    const link = (event.target as Element).closest("a.name");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    router.history.push(link.getAttribute("href") ?? "/");
  };

  return (
    <div className="scroll long" ref={scroller}>
      <table
        ref={ref}
        className="processes"
        role="treegrid"
        aria-label="Processes"
        aria-rowcount={rows.length + 1}
        aria-activedescendant={index >= 0 && visible.indexes.includes(index) ? `${id}-${selected}` : undefined}
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
            const row = rows[i]; // the list may have become shorter
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
