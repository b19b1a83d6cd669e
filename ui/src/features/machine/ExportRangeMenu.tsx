import { basePath } from "../../api/basePath";
import { Menu } from "../../components/Menu";
import { type TimeWindow, iso } from "../../time/range";

const exports = [
  { include: "processes", format: "csv", label: "Processes (CSV)" },
  { include: "machine", format: "csv", label: "System metrics (CSV)" },
  { include: "processes", format: "ndjson", label: "Processes (JSON Lines)" },
  { include: "machine", format: "ndjson", label: "System metrics (JSON Lines)" },
];

/** Downloads all data of a window from the server. */
export function ExportRangeMenu({ machineId, window }: { machineId: string; window: TimeWindow }) {
  const range = { from: iso(window.from), to: iso(window.to) };
  return (
    <Menu label="Export range">
      {exports.map(({ include, format, label }) => {
        const query = new URLSearchParams({ ...range, format, include }).toString();
        const path = `/api/v1/machines/${encodeURIComponent(machineId)}/export`;
        return (
          <a key={label} href={`${basePath}${path}?${query}`} download>
            {label}
          </a>
        );
      })}
    </Menu>
  );
}
