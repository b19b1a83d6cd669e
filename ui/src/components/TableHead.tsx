interface TableHeadProps {
  columns: {
    title: string;
    /** Aligns the title to the right, as for numbers. */
    right?: boolean;
    /** Shows the title to screen readers only. */
    hidden?: boolean;
  }[];
}

/** The header row of a table. All columns but the first are narrow. */
export function TableHead({ columns }: TableHeadProps) {
  return (
    <thead>
      <tr>
        {columns.map(({ title, right, hidden }, i) => (
          <th key={title} scope="col" className={`${right ? "right" : ""} ${i > 0 ? "narrow-cell" : ""}`}>
            {hidden ? <span className="unseen">{title}</span> : title}
          </th>
        ))}
      </tr>
    </thead>
  );
}
