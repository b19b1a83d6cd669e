import { Menu, MenuItem } from "../components/Menu";
import { csv, download, fileName } from "../export";
import { iso } from "../time/range";
import type { ChartData } from "./series";

interface ChartExportMenuProps {
  title: string;
  labels: string[];
  data: ChartData;
  canvas: () => HTMLCanvasElement | null | undefined;
}

/** Exports a chart as an image or as a table. */
export function ChartExportMenu({ title, labels, data, canvas }: ChartExportMenuProps) {
  const exportImage = () => canvas()?.toBlob((blob) => blob && download(`${fileName(title)}.png`, blob));
  const exportTable = () => {
    const { x, lines } = data.table ?? data;
    const rows = x.map((at, i) => [iso(at * 1000), ...lines.map((line) => line[i])]);
    download(`${fileName(title)}.csv`, csv(["time", ...labels], rows));
  };
  return (
    <Menu label={`Export ${title}`} symbol="⋯">
      <MenuItem onSelect={exportImage}>Image (PNG)</MenuItem>
      <MenuItem onSelect={exportTable}>Table (CSV)</MenuItem>
    </Menu>
  );
}
