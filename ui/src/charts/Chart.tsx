// A line chart over time, the only user of uPlot. All charts of a page share a cursor. Drag to zoom,
// click to select an instant. A mark shows the selected instant.
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useColorScheme } from "../hooks/useColorScheme";
import { timeOfDay } from "../format";
import { clocksChange, zoneSuffix } from "../time/zone";
import { ChartExportMenu } from "./ChartExportMenu";
import { type ChartData, summary, valueText } from "./series";
import type { Span } from "./spans";

export interface Line {
  label: string;
  /** The name of a CSS variable. */
  color: string;
  fill?: boolean;
}

export interface ChartProps {
  title: string;
  /** Shown beside the title: the values at the selected instant. */
  children?: ReactNode;
  lines: Line[];
  data: ChartData;
  /** The time range, in milliseconds since 1970. */
  from: number;
  to: number;
  format: (value: number | null) => string;
  /** Selects the steps of the vertical axis: powers of two, whole numbers, or any round numbers. */
  unit: "bytes" | "whole" | "plain";
  loading?: boolean | undefined;
  /** The minimum upper end of the vertical axis. */
  top?: number | undefined;
  /** The selected instant, in milliseconds since 1970. */
  mark?: number | undefined;
  /** The times in which the data is incomplete. */
  hatched?: readonly Span[] | undefined;
  onPick?: ((at: number) => void) | undefined;
  onZoom?: ((from: number, to: number) => void) | undefined;
}

/** The minimum length of a drag, in pixels. A shorter one is a click. */
const minDrag = 6;

export function Chart(props: ChartProps) {
  const { title, children, lines, data, from, to, format, loading, mark, hatched } = props;
  const container = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const plot = useRef<uPlot>(undefined);
  const scheme = useColorScheme();
  const titleId = useId();
  const labels = lines.map((line) => line.label);
  // The plot is created when there is data, so that it does not delay the first paint of the page.
  const hasData = data.lines.some((line) => line.some((value) => value !== null));
  const shape = hasData && lines.map((line) => `${line.label}|${line.color}|${line.fill ?? false}`).join();

  // The callbacks of the plot read the props of the latest render.
  const latest = useRef(props);
  useLayoutEffect(() => {
    latest.current = props;
  });

  useLayoutEffect(() => {
    const element = container.current;
    if (!element || !shape) return;
    plot.current = new uPlot(options(element, latest, readout), [[], ...latest.current.lines.map(() => [])], element);
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) plot.current?.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape, scheme]);

  useLayoutEffect(() => {
    plot.current?.batch(() => {
      plot.current?.setData([data.x, ...data.lines] as uPlot.AlignedData, false);
      plot.current?.setScale("x", { min: from / 1000, max: to / 1000 });
    });
  }, [data, from, to, shape, scheme]);

  useLayoutEffect(() => {
    if (!plot.current) return;
    placeMark(plot.current, mark);
    placeHatching(plot.current, hatched);
  }, [mark, hatched, from, to, data, shape, scheme]);

  return (
    <figure className="chart" aria-labelledby={titleId}>
      <figcaption>
        <span id={titleId} className="chart-title">
          {title}
        </span>{" "}
        <span className="number">{children}</span>
        <span className="chart-readout number" ref={readout} aria-hidden="true" />
        <ChartExportMenu
          title={title}
          labels={labels}
          data={data}
          canvas={() => container.current?.querySelector("canvas")}
        />
      </figcaption>
      <div
        className="chart-place"
        role="img"
        aria-label={hasData ? summary(labels, data, format) : loading ? "Loading" : "No data"}
        ref={container}
      >
        {!hasData && !loading && <span className="quiet">No data for this time</span>}
      </div>
    </figure>
  );
}

interface Latest {
  current: ChartProps;
}

function options(element: HTMLElement, latest: Latest, readout: { current: HTMLSpanElement | null }): uPlot.Options {
  const color = (name: string) => resolveColor(element, name);
  // A label of the time axis is centered on its tick, which can be at an end of the axis. uPlot asks for the padding
  // after the labels.
  const widths = { halfLabel: 0, valueAxis: 0 };
  const axis = {
    stroke: color("--quiet"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { stroke: color("--line"), size: 4 },
    font,
  };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    padding: [6, () => Math.max(6, widths.halfLabel), 0, () => Math.max(0, widths.halfLabel - widths.valueAxis)],
    cursor: {
      sync: { key: "page" },
      y: false,
      points: { size: 6 },
      drag: { x: true, y: false, setScale: false, dist: minDrag },
    },
    scales: {
      x: { time: true },
      y: { range: (_, __, max) => [0, scaleTop(max, latest.current.top)] },
    },
    axes: [
      {
        ...axis,
        size: 24,
        space: (_, __, min, max) => (clocksChange(min * 1000, max * 1000) ? 120 : 70), // labels may have a zone
        values: (u, ticks, __, ___, step) => {
          const labels = ticks.map((tick, i) => timeLabel(tick, ticks[i - 1], step));
          widths.halfLabel = Math.ceil(widestLabel(u, labels) / 2) + 1;
          return labels;
        },
      },
      {
        ...axis,
        size: (_, labels) => (widths.valueAxis = axisWidth(labels)),
        space: 22,
        values: (_, ticks) => ticks.map((tick) => latest.current.format(tick)),
        ...axisSteps(latest.current.unit),
      },
    ],
    series: [
      {},
      ...latest.current.lines.map((line): uPlot.Series => {
        const stroke = color(line.color);
        return { label: line.label, stroke, width: 1.5, points: { size: 5 }, ...(line.fill && { fill: fade(stroke) }) };
      }),
    ],
    hooks: {
      ready: [(u) => addClickListener(u, latest)],
      setSize: [
        (u) => {
          placeMark(u, latest.current.mark);
          placeHatching(u, latest.current.hatched);
        },
      ],
      setCursor: [(u) => updateReadout(u, latest, readout.current)],
      setSelect: [
        (u) => {
          if (u.select.width < minDrag) return;
          const [begin, end] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest.current.onZoom?.(begin * 1000, end * 1000);
        },
      ],
    },
  };
}

// uPlot passes null where there is no data, although its types do not say so.

/** Returns the upper end of the vertical axis. */
const scaleTop = (max: number | null, top = 0) => Math.max(top, (max ?? 0) * 1.05, Number.MIN_VALUE);

/** Returns the width of the vertical axis in pixels. */
const axisWidth = (labels: string[] | null) => 14 + 6.2 * Math.max(4, ...(labels ?? []).map((label) => label.length));

const font = "11px system-ui, sans-serif";

/** Returns the width of the widest label in pixels. */
function widestLabel({ ctx }: uPlot, labels: string[]): number {
  ctx.save();
  ctx.font = font;
  const widths = labels.map((label) => ctx.measureText(label).width);
  ctx.restore();
  return Math.max(0, ...widths);
}

/** Calls onPick for a click, but not at the end of a drag. */
function addClickListener(u: uPlot, latest: Latest) {
  let pressed = 0;
  u.over.addEventListener("mousedown", (event) => {
    pressed = event.clientX;
  });
  u.over.addEventListener("click", (event) => {
    if (Math.abs(event.clientX - pressed) >= minDrag) return;
    const x = event.clientX - u.over.getBoundingClientRect().left;
    latest.current.onPick?.(u.posToVal(x, "x") * 1000);
  });
}

/** Shows the values at the cursor beside the title. */
function updateReadout(u: uPlot, latest: Latest, readout: HTMLElement | null) {
  if (!readout) return;
  const index = u.cursor.idx;
  const at = typeof index === "number" ? u.data[0][index] : undefined;
  if (typeof index !== "number" || at === undefined || (u.cursor.left ?? -1) < 0) {
    readout.textContent = "";
    return;
  }
  const { lines, data, format } = latest.current;
  const values = lines.map((line, i) => {
    const value = valueText(data, u.data[i + 1]?.[index] ?? null, index, format);
    return lines.length > 1 ? `${line.label} ${value}` : value;
  });
  readout.textContent = `${timeOfDay(at * 1000)} ${values.join("  ")}`;
}

const hours = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dates = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });

/** Formats a label of the time axis, where step is in seconds. A label at midnight is the date. */
function timeLabel(at: number, before: number | undefined, step: number): string {
  const date = new Date(at * 1000);
  const midnight = date.getHours() + date.getMinutes() + date.getSeconds() === 0;
  if (step >= 86_400 || (midnight && before !== undefined)) return dates.format(date);
  return (step < 60 ? seconds : hours).format(date) + zoneSuffix(at * 1000);
}

/** Returns the possible steps of the vertical axis. */
function axisSteps(unit: ChartProps["unit"]): { incrs?: number[] } {
  if (unit === "bytes") return { incrs: Array.from({ length: 50 }, (_, k) => 2 ** k) };
  return unit === "whole" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000] } : {};
}

/** Moves the mark. It is an element over the chart, so that moving it does not redraw the chart. */
function placeMark(u: uPlot, mark: number | undefined) {
  let line = u.over.querySelector<HTMLElement>(".chart-mark");
  if (!line) {
    line = document.createElement("div");
    line.className = "chart-mark";
    u.over.append(line);
  }
  const x = mark === undefined ? -1 : u.valToPos(mark / 1000, "x");
  line.hidden = x < 0 || x > u.over.clientWidth;
  line.style.translate = `${x}px 0`;
}

/** Hatches the times in which the data is incomplete, under the chart. */
function placeHatching(u: uPlot, spans: readonly Span[] = []) {
  for (const old of u.under.querySelectorAll(".chart-hatched")) old.remove();
  for (const { from, to } of spans) {
    const [left, right] = [from, to].map((ms) => Math.max(0, Math.min(u.over.clientWidth, u.valToPos(ms / 1000, "x"))));
    if (left === undefined || right === undefined || right <= left) continue;
    const area = document.createElement("div");
    area.className = "chart-hatched";
    area.style.left = `${left}px`;
    area.style.width = `${right - left}px`;
    u.under.append(area);
  }
}

/** Returns the value of a CSS variable in the current color scheme, for use in a canvas. */
function resolveColor(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const fade = (rgb: string) => rgb.replace(/^rgb\((.*)\)$/, "rgba($1, 0.14)");
