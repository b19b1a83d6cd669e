// Parts of tables of which only the rows that are seen are there.

/** Stands for the rows above or below. */
export function Space({ height }: { height: number }) {
  return height > 0 ? (
    <tr role="presentation" className="space">
      <td style={{ height }} />
    </tr>
  ) : null;
}

interface SortHeadingProps {
  label: string;
  title?: string | undefined;
  right?: boolean | undefined;
  /** In rem; the rest of the table where it is missing. */
  width?: number | undefined;
  sorted: "ascending" | "descending" | undefined;
  /** Missing where nothing can be sorted by. */
  onSort?: (() => void) | undefined;
}

/** The head of a column by which one can sort. */
export function SortHeading({ label, title, right, width, sorted, onSort }: SortHeadingProps) {
  return (
    <th scope="col" className={right ? "right" : ""} title={title} style={width ? { width: `${width}rem` } : undefined} aria-sort={onSort ? (sorted ?? "none") : undefined}>
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
