import { useMemo } from "react";
import type { MachineChart, MachineMetrics } from "../../api/client";
import { Chart, type Line } from "../../charts/Chart";
import { type Gap, breakAtGaps } from "../../charts/gaps";
import { type Values, levels, rates, steps } from "../../charts/series";
import type { Span } from "../../charts/spans";
import { bytes, number, percent, rate, share } from "../../format";
import type { TimeWindow } from "../../time/range";

interface MachineChartsProps {
  chart: MachineChart | undefined;
  /** When the values of each bucket are drawn; undefined if the points are snapshots. */
  spans: Span[][] | undefined;
  gaps: readonly Gap[];
  /** The metrics of the shown snapshot, if they are those of the selected time. */
  metrics: MachineMetrics | undefined;
  window: TimeWindow;
  mark: number | undefined;
  onPick: (at: number) => void;
  onZoom: (from: number, to: number) => void;
}

interface ChartDefinition {
  title: string;
  lines: Line[];
  /** Returns the values of each line. */
  values: (chart: MachineChart) => Values[];
  /** Whether the values are averages of intervals. */
  isRate?: boolean;
  format: (value: number | null) => string;
  unit: "bytes" | "plain";
  top?: (chart: MachineChart) => number;
  /** Returns the text beside the title. */
  now?: (metrics: MachineMetrics) => string;
}

const maximum = (values: (number | null)[]) => values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);

const definitions: ChartDefinition[] = [
  {
    title: "CPU",
    lines: [
      { label: "peak", color: "--series-2" },
      { label: "average", color: "--accent", fill: true },
    ],
    values: (chart) => [chart.cpu_usage_max, chart.cpu_usage_avg],
    isRate: true,
    format: percent,
    unit: "plain",
    top: () => 100,
    now: (m) => percent(m.cpu_usage),
  },
  {
    title: "Memory",
    lines: [
      { label: "used", color: "--accent", fill: true },
      { label: "swap", color: "--series-2" },
    ],
    values: (chart) => [chart.used_ram_avg, chart.used_swap_avg],
    format: bytes,
    unit: "bytes",
    top: (chart) => maximum(chart.total_ram),
    now: (m) => `${bytes(m.used_ram)} of ${bytes(m.total_ram)} (${percent(share(m.used_ram, m.total_ram))})`,
  },
  {
    title: "Cache and shared memory",
    lines: [
      { label: "cache", color: "--accent", fill: true },
      { label: "shared", color: "--series-2" },
      { label: "buffers", color: "--series-3" },
      { label: "slab", color: "--series-4" },
    ],
    values: (chart) => [chart.cached_ram_avg, chart.shared_ram_avg, chart.buffers_ram_avg, chart.slab_ram_avg],
    format: bytes,
    unit: "bytes",
  },
  {
    title: "Load",
    lines: [
      { label: "1 min", color: "--accent", fill: true },
      { label: "5 min", color: "--series-2" },
      { label: "15 min", color: "--series-3" },
    ],
    values: (chart) => [chart.load1_avg, chart.load5_avg, chart.load15_avg],
    format: (value) => number(value, 2),
    unit: "plain",
    now: (m) => [m.load1, m.load5, m.load15].map((load) => number(load, 2)).join("  "),
  },
  {
    title: "Disk",
    lines: [{ label: "used", color: "--accent", fill: true }],
    values: (chart) => [chart.used_disk_avg],
    format: bytes,
    unit: "bytes",
    top: (chart) => maximum(chart.total_disk),
    now: (m) =>
      `${bytes(m.used_disk)} of ${bytes(m.total_disk)}` +
      (m.fullest_disk ? `, fullest: ${m.fullest_disk} ${percent(m.fullest_disk_usage)}` : ""),
  },
  {
    title: "Disk I/O",
    lines: [
      { label: "read", color: "--accent", fill: true },
      { label: "written", color: "--series-2" },
    ],
    values: (chart) => [rates(chart.read_bytes, chart.read_ms), rates(chart.write_bytes, chart.write_ms)],
    isRate: true,
    format: rate,
    unit: "bytes",
  },
  {
    title: "Network",
    lines: [
      { label: "received", color: "--accent", fill: true },
      { label: "sent", color: "--series-2" },
    ],
    values: (chart) => [rates(chart.received_bytes, chart.received_ms), rates(chart.sent_bytes, chart.sent_ms)],
    isRate: true,
    format: rate,
    unit: "bytes",
  },
];

/** The system metrics of a machine in a window. The titles show the values of the shown snapshot. */
export function MachineCharts(props: MachineChartsProps) {
  const { chart, spans, gaps, metrics, window, mark, onPick, onZoom } = props;
  const data = useMemo(() => {
    if (!chart) return undefined;
    const at = chart.timestamps.map((timestamp) => Date.parse(timestamp));
    if (spans) return definitions.map((definition) => steps(at, spans, definition.values(chart)));
    const x = at.map((ms) => ms / 1000);
    return definitions.map(({ values, isRate }) => {
      const table = { x, lines: values(chart) };
      const points = isRate ? levels(x, chart.interval_ms, table.lines) : table;
      return { ...breakAtGaps(points.x, points.lines, gaps), table };
    });
  }, [chart, spans, gaps]);
  return (
    <div className="charts">
      {definitions.map((definition, i) => (
        <Chart
          key={definition.title}
          title={definition.title}
          lines={definition.lines}
          data={data?.[i] ?? { x: [], lines: definition.lines.map(() => []) }}
          from={window.from}
          to={window.to}
          format={definition.format}
          unit={definition.unit}
          loading={!chart}
          top={chart && definition.top?.(chart)}
          mark={mark}
          onPick={onPick}
          onZoom={onZoom}
        >
          {metrics && definition.now?.(metrics)}
        </Chart>
      ))}
    </div>
  );
}
