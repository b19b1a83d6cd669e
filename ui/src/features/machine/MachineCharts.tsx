import { useMemo } from "react";
import type { MachineChart, MachineMetrics } from "../../api/client";
import { bytes, number, percent, rate, share } from "../../format";
import type { TimeWindow } from "../../time/range";
import { Chart, type Line } from "../../charts/Chart";
import { type Values, rates, withGaps } from "../../charts/series";

interface MachineChartsProps {
  chart: MachineChart | undefined;
  /** The system metrics at the instant that is shown. */
  metrics: MachineMetrics | undefined;
  window: TimeWindow;
  mark: number | undefined;
  onPick: (at: number) => void;
  onZoom: (from: number, to: number) => void;
}

interface Card {
  title: string;
  lines: Line[];
  values: (chart: MachineChart) => Values[];
  format: (value: number | null) => string;
  unit: "bytes" | "plain";
  top?: (chart: MachineChart) => number;
  now?: (metrics: MachineMetrics) => string;
}

const largest = (values: (number | null)[]) => values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);

const cards: Card[] = [
  {
    title: "CPU",
    lines: [
      { label: "peak", color: "--series-2" },
      { label: "average", color: "--accent", fill: true },
    ],
    values: (chart) => [chart.cpu_usage_max, chart.cpu_usage_avg],
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
    top: (chart) => largest(chart.total_ram),
    now: (m) => `${bytes(m.used_ram)} of ${bytes(m.total_ram)} (${percent(share(m.used_ram, m.total_ram))})`,
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
    top: (chart) => largest(chart.total_disk),
    now: (m) => `${bytes(m.used_disk)} of ${bytes(m.total_disk)} (${percent(share(m.used_disk, m.total_disk))})`,
  },
  {
    title: "Disk I/O",
    lines: [
      { label: "read", color: "--accent", fill: true },
      { label: "written", color: "--series-2" },
    ],
    values: (chart) => [rates(chart.read_bytes, chart.interval_ms), rates(chart.write_bytes, chart.interval_ms)],
    format: rate,
    unit: "bytes",
  },
  {
    title: "Network",
    lines: [
      { label: "received", color: "--accent", fill: true },
      { label: "sent", color: "--series-2" },
    ],
    values: (chart) => [rates(chart.received_bytes, chart.interval_ms), rates(chart.sent_bytes, chart.interval_ms)],
    format: rate,
    unit: "bytes",
  },
];

const nothing = { x: [], lines: [] };

/** What a machine did in a window, and at the instant that the page shows. */
export function MachineCharts({ chart, metrics, window, mark, onPick, onZoom }: MachineChartsProps) {
  const data = useMemo(() => {
    if (!chart) return undefined;
    const x = chart.timestamps.map((at) => Date.parse(at) / 1000);
    return cards.map((card) => withGaps(x, card.values(chart)));
  }, [chart]);
  return (
    <div className="charts">
      {cards.map((card, i) => (
        <Chart
          key={card.title}
          title={card.title}
          lines={card.lines}
          data={data?.[i] ?? { ...nothing, lines: card.lines.map(() => []) }}
          from={window.from}
          to={window.to}
          format={card.format}
          unit={card.unit}
          loading={!chart}
          top={chart && card.top?.(chart)}
          mark={mark}
          onPick={onPick}
          onZoom={onZoom}
        >
          {metrics && card.now?.(metrics)}
        </Chart>
      ))}
    </div>
  );
}
