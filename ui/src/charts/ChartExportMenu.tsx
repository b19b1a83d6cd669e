import { Menu, MenuItem } from "../components/Menu";
import { csv, download, fileName } from "../export";
import { iso } from "../time/range";
import type { Columns } from "./series";

interface ChartExportMenuProps {
  title: string;
  labels: string[];
  data: Columns;
  canvas: () => HTMLCanvasElement | null | undefined;
}

/** What can be taken away of a chart. */
export function ChartExportMenu({ title, labels, data, canvas }: ChartExportMenuProps) {
  const picture = () => canvas()?.toBlob((blob) => blob && download(`${fileName(title)}.png`, blob));
  const table = () =>
    download(
      `${fileName(title)}.csv`,
      csv(
        ["time", ...labels],
        data.x.map((at, i) => [iso(at * 1000), ...data.lines.map((line) => line[i])]),
      ),
    );
  return (
    <Menu label={`Export ${title}`} symbol="⋯">
      <MenuItem onSelect={picture}>Picture (PNG)</MenuItem>
      <MenuItem onSelect={table}>Table (CSV)</MenuItem>
    </Menu>
  );
}
