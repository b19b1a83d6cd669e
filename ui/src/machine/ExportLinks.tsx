import { Menu } from "../components/Menu";
import type { Window } from "../time/range";

/** Everything that is stored of the window, as files that the server writes. */
export function ExportLinks({ machineId, window }: { machineId: string; window: Window }) {
  const link = (format: string, include: string) =>
    `/api/v1/machines/${encodeURIComponent(machineId)}/export?${new URLSearchParams({ from: new Date(window.from).toISOString(), to: new Date(window.to).toISOString(), format, include })}`;
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
