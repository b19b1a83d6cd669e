import { Menu, MenuItem } from "../../../components/Menu";
import { copyText, csv, download, fileName, json } from "../../../export";
import type { Row } from "../../../processes/rows";
import { type CellContext, columns } from "./columns";

interface ExportMenuProps {
  machine: string;
  timestamp: string;
  rows: Row[];
  context: CellContext;
  /** Called after the processes were copied to the clipboard. */
  onCopied: (message: string) => void;
}

function toCsv(rows: Row[], timestamp: string, context: CellContext): Blob {
  const exported = columns.filter(({ value }) => value);
  return csv(
    ["time", "pid", "name", "command_line", "processes", ...exported.map(({ id }) => id)],
    rows.map((row) => {
      const { pid, name, command_line } = row.process;
      const processes = row.collapsed ? row.descendants + 1 : 1; // in the sums of the row
      return [
        timestamp,
        pid,
        name,
        command_line,
        processes,
        ...exported.map(({ value }) => value?.(row, context) ?? null),
      ];
    }),
  );
}

const toText = (rows: Row[]) =>
  rows
    .map(({ process: p, depth }) => `${p.pid}\t${p.user}\t${"  ".repeat(depth)}${p.command_line || p.name}`)
    .join("\n");

/** Exports the rows of the table as they are filtered and sorted, with all columns. */
export function ExportMenu({ machine, timestamp, rows, context, onCopied }: ExportMenuProps) {
  const name = (extension: string) => `${fileName(machine, timestamp.replaceAll(":", ""), "processes")}.${extension}`;
  const matches = rows.filter((row) => !row.contextOnly);
  const exportJson = () =>
    download(name("json"), json({ machine, timestamp, processes: matches.map(({ process }) => process) }));
  const copy = async () => {
    if (await copyText(toText(matches))) onCopied(`Copied ${matches.length} processes`);
  };
  return (
    <Menu label="Export">
      <MenuItem onSelect={() => download(name("csv"), toCsv(matches, timestamp, context))}>Table (CSV)</MenuItem>
      <MenuItem onSelect={exportJson}>JSON</MenuItem>
      <MenuItem onSelect={() => void copy()}>Copy as text</MenuItem>
    </Menu>
  );
}
