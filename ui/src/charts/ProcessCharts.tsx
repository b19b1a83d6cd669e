import { useMemo } from "react";
import type { ProcessPoint } from "../api/client";
import { bytes, number, percent, rate } from "../format";
import type { TimeWindow } from "../time/range";
import { Chart } from "./Chart";
import { fillIdle, levels } from "./processSeries";

interface ProcessChartsProps {
  points: ProcessPoint[];
  loading: boolean;
  /** Whether points are samples, sparse as they are stored, and not buckets. */
  raw: boolean;
  window: TimeWindow;
  mark: number | undefined;
  /** Whether many processes are added up, and how many is of interest. */
  many?: boolean;
  onPick?: ((at: number) => void) | undefined;
  onZoom: (from: number, to: number) => void;
}

/** What a process, or all of one name, did in a window. */
export function ProcessCharts({ points, loading, raw, window, mark, many, onPick, onZoom }: ProcessChartsProps) {
  const data = useMemo(() => {
    const spent = (value: (point: ProcessPoint) => number | null) =>
      raw ? fillIdle(points, value) : levels(points, [value]);
    const perSecond = (key: "read_bytes" | "write_bytes") => (point: ProcessPoint) =>
      point[key] === null || point.interval_ms <= 0 ? null : (1000 * point[key]) / point.interval_ms;
    const alive = points.filter(({ state }) => state !== "exited");
    const [read, written] = [spent(perSecond("read_bytes")), spent(perSecond("write_bytes"))];
    return {
      cpu: spent((point) => point.cpu_usage),
      memory: levels(alive, [(point) => point.memory_max, (point) => point.memory_avg]),
      threads: levels(alive, [(point) => (many ? point.processes : point.threads_max)]),
      io: { x: read.x, lines: [...read.lines, ...written.lines] },
    };
  }, [points, raw, many]);
  const common = { loading, from: window.from, to: window.to, mark, onPick, onZoom };
  return (
    <div className="charts four">
      <Chart
        title="CPU"
        lines={[{ label: "of one core", color: "--accent", fill: true }]}
        data={data.cpu}
        format={percent}
        unit="plain"
        top={1}
        {...common}
      />
      <Chart
        title="Memory"
        lines={[
          { label: "peak", color: "--series-2" },
          { label: "average", color: "--accent", fill: true },
        ]}
        data={data.memory}
        format={bytes}
        unit="bytes"
        {...common}
      />
      <Chart
        title={many ? "Processes" : "Threads"}
        lines={[{ label: many ? "processes" : "threads", color: "--accent", fill: true }]}
        data={data.threads}
        format={(value) => number(value)}
        unit="whole"
        {...common}
      />
      <Chart
        title="I/O"
        lines={[
          { label: "read", color: "--accent", fill: true },
          { label: "written", color: "--series-2" },
        ]}
        data={data.io}
        format={rate}
        unit="bytes"
        {...common}
      />
    </div>
  );
}
