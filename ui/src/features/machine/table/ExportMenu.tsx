import { Menu, MenuItem } from "../../../components/Menu";
import { csv, download, fileName, json } from "../../../export";
import { type CellContext, columns } from "./columns";
import type { Row } from "../../../processes/rows";

interface ExportMenuProps {
  machine: string;
  timestamp: string;
  rows: Row[];
  context: CellContext;
  onTold: (what: string) => void;
}

/** Takes away what the table shows: the rows as they are filtered and ordered, with every column. */
export function ExportMenu({ machine, timestamp, rows, context, onTold }: ExportMenuProps) {
  const name = (kind: string) => `${fileName(machine, timestamp.replaceAll(":", ""), "processes")}.${kind}`;
  const wanted = rows.filter((row) => !row.faint);
  const told = columns.filter(({ value }) => value);
  const table = () =>
    csv(
      ["time", "pid", "name", "command_line", ...told.map(({ id }) => id)],
      wanted.map((row) => [
        timestamp,
        row.process.pid,
        row.process.name,
        row.process.command_line,
        ...told.map(({ value }) => value?.(row, context) ?? null),
      ]),
    );
  const copy = () =>
    void navigator.clipboard
      ?.writeText(
        wanted
          .map(
            ({ process, depth }) =>
              `${process.pid}\t${process.user}\t${"  ".repeat(depth)}${process.command_line || process.name}`,
          )
          .join("\n"),
      )
      .then(() => onTold(`Copied ${wanted.length} processes`));
  return (
    <Menu label="Export">
      <MenuItem onSelect={() => download(name("csv"), table())}>Table (CSV)</MenuItem>
      <MenuItem
        onSelect={() =>
          download(name("json"), json({ machine, timestamp, processes: wanted.map(({ process }) => process) }))
        }
      >
        JSON
      </MenuItem>
      <MenuItem onSelect={copy}>Copy as text</MenuItem>
    </Menu>
  );
}
