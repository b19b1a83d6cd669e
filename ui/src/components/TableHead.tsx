interface HeadProps {
  columns: {
    title: string;
    right?: boolean;
    /** Said, but not shown: what is in the column speaks for itself. */
    unseen?: boolean;
  }[];
}

/** The head of a table: titles of its columns; numbers stand to the right. All but the first are narrow. */
export function TableHead({ columns }: HeadProps) {
  return (
    <thead>
      <tr>
        {columns.map(({ title, right, unseen }, i) => (
          <th key={title} scope="col" className={`${right ? "right" : ""} ${i > 0 ? "narrow-cell" : ""}`}>
            {unseen ? <span className="unseen">{title}</span> : title}
          </th>
        ))}
      </tr>
    </thead>
  );
}
