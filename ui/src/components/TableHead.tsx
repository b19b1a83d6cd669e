/** The head of a table: titles of its columns; numbers stand to the right. All but the first are narrow. */
export function TableHead({ columns }: { columns: { title: string; right?: boolean }[] }) {
  return (
    <thead>
      <tr>
        {columns.map(({ title, right }, i) => (
          <th key={title} scope="col" className={`${right ? "right" : ""} ${i > 0 ? "narrow-cell" : ""}`}>
            {title}
          </th>
        ))}
      </tr>
    </thead>
  );
}
