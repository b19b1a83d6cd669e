import { useMemo } from "react";
import type { ProcessPoint } from "../api/client";
import { average, bytes, number, percent, rate } from "../format";
import { hasExited } from "../processes/replay";
import type { TimeWindow } from "../time/range";
import { Chart } from "./Chart";
import type { Gap } from "./gaps";
import { bucketSeries, fillHeld, fillIdle, runningSpans } from "./processSeries";
import { type Span, widthOf } from "./spans";

interface ProcessChartsProps {
  points: ProcessPoint[];
  loading: boolean;
  /** The time between the points. With raw, they are sparse samples. */
  resolution: string | undefined;
  /** When the points were loaded, in milliseconds since 1970. */
  loadedAt: number;
  /** The gaps of the machine, or the common ones of several machines; undefined if they are not known. */
  gaps: readonly Gap[] | undefined;
  startedAt?: string | undefined;
  window: TimeWindow;
  mark: number | undefined;
  /** Whether the points are sums over several processes. The number of processes replaces the number of threads. */
  aggregate?: boolean;
  /** The times in which the sums are incomplete. */
  incomplete?: readonly Span[];
  onPick?: ((at: number) => void) | undefined;
  onZoom: (from: number, to: number) => void;
}

type Value = (point: ProcessPoint) => number | null;
type UnknownCount = (point: ProcessPoint) => number | undefined;

const perSecond =
  (key: "read_bytes" | "write_bytes"): Value =>
  (point) =>
    point[key] === null || point.interval_ms <= 0 ? null : (1000 * point[key]) / point.interval_ms;

const cpu: Value = (point) => point.cpu_usage;
const io: Value[] = [perSecond("read_bytes"), perSecond("write_bytes")];
const memory: Value[] = [(point) => point.memory_max, (point) => point.memory_avg];
const threads: Value = (point) => point.threads_max;
const running: Value = (point) => point.running_avg ?? null;

type ProcessHistory = Pick<
  ProcessChartsProps,
  "points" | "resolution" | "loadedAt" | "gaps" | "startedAt" | "aggregate"
>;

function toChartData({ points, resolution, loadedAt, gaps, startedAt, aggregate }: ProcessHistory) {
  const count = aggregate ? running : threads;
  const width = widthOf(resolution);
  if (width > 0) {
    const started = startedAt === undefined ? undefined : Date.parse(startedAt);
    const spans = runningSpans(points, { width, gaps, aggregate, now: loadedAt, startedAt: started });
    const series = (values: Value[], unknown?: UnknownCount) => bucketSeries(points, spans, values, unknown);
    return {
      cpu: series([cpu], (point) => point.unknown_cpu_processes),
      memory: series(memory),
      threads: series([count]),
      io: series(io, (point) => point.unknown_io_processes),
    };
  }
  const held = (values: Value[]) => {
    const alive = points.filter(({ state }) => !hasExited(state));
    return fillHeld(alive, values, gaps ?? []);
  };
  return {
    cpu: fillIdle(points, [cpu], gaps ?? []),
    memory: held(memory),
    threads: held([count]),
    io: fillIdle(points, io, gaps ?? []),
  };
}

/** The resource usage of a process, or of all processes of a name, in a window. */
export function ProcessCharts(props: ProcessChartsProps) {
  const { points, resolution, loadedAt, gaps, startedAt, loading, window, mark, aggregate = false } = props;
  const { onPick, onZoom, incomplete } = props;
  const data = useMemo(
    () => toChartData({ points, resolution, loadedAt, gaps, startedAt, aggregate }),
    [points, resolution, loadedAt, gaps, startedAt, aggregate],
  );
  const common = { loading, from: window.from, to: window.to, mark, hatched: incomplete, onPick, onZoom };
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
        format={aggregate ? average : number}
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
