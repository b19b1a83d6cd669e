interface SortableHeaderProps {
  label: string;
  title?: string | undefined;
  right?: boolean | undefined;
  /** In rem; without it the column takes the remaining width. */
  width?: number | undefined;
  sorted: "ascending" | "descending" | undefined;
  /** Absent if the column is not sortable. */
  onSort?: (() => void) | undefined;
}

/** A column header that sorts the table when it is clicked. */
export function SortableHeader({ label, title, right, width, sorted, onSort }: SortableHeaderProps) {
  return (
    <th
      scope="col"
      className={right ? "right" : ""}
      title={title}
      style={width ? { width: `${width}rem` } : undefined}
      aria-sort={onSort ? (sorted ?? "none") : undefined}
    >
      {onSort ? (
        <button type="button" className="plain" onClick={onSort}>
          {label}
          <span aria-hidden="true">{sorted === "ascending" ? " ▲" : sorted === "descending" ? " ▼" : ""}</span>
        </button>
      ) : (
        label
      )}
    </th>
  );
}
