import { Menu, MenuItem } from "../components/Menu";
import { csv, download, fileName } from "../export";
import { type ChartData, tableOf } from "./series";

interface ChartExportMenuProps {
  title: string;
  labels: string[];
  data: ChartData;
  canvas: () => HTMLCanvasElement | null | undefined;
}

/** Exports a chart as an image or as a table. */
export function ChartExportMenu({ title, labels, data, canvas }: ChartExportMenuProps) {
  const exportImage = () => canvas()?.toBlob((blob) => blob && download(`${fileName(title)}.png`, blob));
  const exportTable = () => download(`${fileName(title)}.csv`, csv(...tableOf(labels, data)));
  return (
    <Menu label={`Export ${title}`} symbol="⋯">
      <MenuItem onSelect={exportImage}>Image (PNG)</MenuItem>
      <MenuItem onSelect={exportTable}>Table (CSV)</MenuItem>
    </Menu>
  );
}
