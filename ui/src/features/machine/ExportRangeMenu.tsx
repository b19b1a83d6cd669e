import { Menu } from "../../components/Menu";
import { type TimeWindow, iso } from "../../time/range";

/** Everything that is stored of the window, as files that the server writes. */
export function ExportRangeMenu({ machineId, window }: { machineId: string; window: TimeWindow }) {
  const link = (format: string, include: string) =>
    `/api/v1/machines/${encodeURIComponent(machineId)}/export?${new URLSearchParams({ from: iso(window.from), to: iso(window.to), format, include })}`;
  return (
    <Menu label="Export range">
      {(["csv", "ndjson"] as const).flatMap((format) =>
        (["processes", "machine"] as const).map((include) => (
          <a key={format + include} href={link(format, include)} download>
            {include === "processes" ? "Every process" : "System metrics"}, {format === "csv" ? "CSV" : "JSON lines"}
          </a>
        )),
      )}
    </Menu>
  );
}
