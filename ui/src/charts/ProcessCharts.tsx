import { useMemo } from "react";
import type { ProcessPoint } from "../api/client";
import { bytes, number, percent, rate } from "../format";
import { hasExited } from "../processes/replay";
import type { TimeWindow } from "../time/range";
import { Chart } from "./Chart";
import { fillHeld, fillIdle, gaugeSeries } from "./processSeries";

interface ProcessChartsProps {
  points: ProcessPoint[];
  loading: boolean;
  /** True if the points are sparse samples, false if they are buckets of a rollup. */
  raw: boolean;
  window: TimeWindow;
  mark: number | undefined;
  /** True if the points are sums over several processes. The number of processes replaces the number of threads. */
  aggregate?: boolean;
  onPick?: ((at: number) => void) | undefined;
  onZoom: (from: number, to: number) => void;
}

const perSecond = (key: "read_bytes" | "write_bytes") => (point: ProcessPoint) =>
  point[key] === null || point.interval_ms <= 0 ? null : (1000 * point[key]) / point.interval_ms;

function toChartData(points: ProcessPoint[], raw: boolean, aggregate: boolean) {
  const rateSeries = (value: (point: ProcessPoint) => number | null) =>
    raw ? fillIdle(points, value) : gaugeSeries(points, [value]);
  const gauges = raw ? fillHeld : gaugeSeries;
  const running = points.filter(({ state }) => !hasExited(state));
  const [read, written] = [rateSeries(perSecond("read_bytes")), rateSeries(perSecond("write_bytes"))];
  return {
    cpu: rateSeries((point) => point.cpu_usage),
    memory: gauges(running, [(point) => point.memory_max, (point) => point.memory_avg]),
    threads: gauges(running, [(point) => (aggregate ? (point.running_avg ?? null) : point.threads_max)]),
    io: { x: read.x, lines: [...read.lines, ...written.lines] },
  };
}

/** The resource usage of a process, or of all processes of a name, in a window. */
export function ProcessCharts(props: ProcessChartsProps) {
  const { points, loading, raw, window, mark, aggregate = false, onPick, onZoom } = props;
  const data = useMemo(() => toChartData(points, raw, aggregate), [points, raw, aggregate]);
  const common = { loading, from: window.from, to: window.to, mark, onPick, onZoom };
  return (
    <div className="charts four">
      <Chart
        title={aggregate ? "CPU, sum of all processes" : "CPU"}
        lines={[{ label: "of one core", color: "--accent", fill: true }]}
        data={data.cpu}
        format={percent}
        unit="plain"
        top={1}
        {...common}
      />
      <Chart
        title={aggregate ? "Memory of one process" : "Memory"}
        lines={[
          { label: aggregate ? "largest" : "peak", color: "--series-2" },
          { label: "average", color: "--accent", fill: true },
        ]}
        data={data.memory}
        format={bytes}
        unit="bytes"
        {...common}
      />
      <Chart
        title={aggregate ? "Processes" : "Threads"}
        lines={[{ label: aggregate ? "at once, average" : "threads", color: "--accent", fill: true }]}
        data={data.threads}
        format={(value) => number(value, aggregate ? 1 : 0)}
        unit={aggregate ? "plain" : "whole"}
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
