// The one place that knows uPlot: lines over time, with a cursor that all charts of a
// page share, zoom by dragging, a click that picks an instant, and a mark at one.
import { type ReactNode, useId, useLayoutEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useColorScheme } from "../hooks/useColorScheme";
import { ChartExportMenu } from "./ChartExportMenu";
import type { Columns } from "./series";

export interface Line {
  label: string;
  /** A variable of the style sheet. */
  color: string;
  fill?: boolean;
}

export interface ChartProps {
  title: string;
  /** Beside the title: what it is at the instant that is shown. */
  children?: ReactNode;
  lines: Line[];
  data: Columns;
  /** What is shown, in milliseconds since 1970. */
  from: number;
  to: number;
  format: (value: number | null) => string;
  /** What a step of the scale is a round number of. */
  unit: "bytes" | "whole" | "plain";
  /** Whether the data is still on its way. */
  loading?: boolean | undefined;
  /** The least that the scale reaches up to. */
  top?: number | undefined;
  /** The instant that the page shows, in milliseconds. */
  mark?: number | undefined;
  onPick?: ((at: number) => void) | undefined;
  onZoom?: ((from: number, to: number) => void) | undefined;
}

/** Shorter drags are clicks, in pixels. */
const shortest = 6;

/** A chart. */
export function Chart({
  title,
  children,
  lines,
  data,
  from,
  to,
  format,
  unit,
  loading,
  top,
  mark,
  onPick,
  onZoom,
}: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef({ format, unit, top, mark, onPick, onZoom, lines });
  latest.current = { format, unit, top, mark, onPick, onZoom, lines };
  const scheme = useColorScheme();
  const titleId = useId();
  // Nothing is drawn before there is something: the page's first paint does not wait for it.
  const drawn = data.x.length > 0;
  const shape = drawn && lines.map((line) => `${line.label}|${line.color}|${line.fill}`).join();

  useLayoutEffect(() => {
    const element = place.current;
    if (!element || !shape) return;
    plot.current = new uPlot(options(element, latest, readout), [[], ...latest.current.lines.map(() => [])], element);
    const watcher = new ResizeObserver(() => {
      if (element.clientWidth > 0) plot.current?.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
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
    if (plot.current) placeMark(plot.current, mark);
  }, [mark, from, to, data, shape, scheme]);

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
          labels={lines.map((line) => line.label)}
          data={data}
          canvas={() => place.current?.querySelector("canvas")}
        />
      </figcaption>
      <div
        className="chart-place"
        role="img"
        aria-label={drawn ? summary(lines, data, format) : loading ? "Loading" : "No data"}
        ref={place}
      >
        {!drawn && !loading && <span className="quiet">No data in this range</span>}
      </div>
    </figure>
  );
}

/** The chart in words: of each line its latest and its largest value. */
function summary(lines: Line[], data: Columns, format: (value: number | null) => string): string {
  return lines
    .map(({ label }, i) => {
      const known = (data.lines[i] ?? []).filter((value) => value !== null);
      return known.length === 0
        ? `${label}: no data`
        : `${label}: latest ${format(known.at(-1) ?? null)}, at most ${format(known.reduce((a, b) => Math.max(a, b)))}`;
    })
    .join("; ");
}

interface Latest {
  current: Pick<ChartProps, "format" | "unit" | "top" | "mark" | "onPick" | "onZoom" | "lines">;
}

function options(element: HTMLElement, latest: Latest, readout: { current: HTMLSpanElement | null }): uPlot.Options {
  const color = (name: string) => resolve(element, name);
  const font = "11px system-ui, sans-serif";
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
    padding: [6, 6, 0, 0],
    cursor: {
      sync: { key: "page" },
      y: false,
      points: { size: 6 },
      drag: { x: true, y: false, setScale: false, dist: shortest },
    },
    scales: {
      x: { time: true },
      y: { range: (_, __, max) => [0, Math.max(latest.current.top ?? 0, (max ?? 0) * 1.05, Number.MIN_VALUE) || 1] },
    },
    axes: [
      {
        ...axis,
        size: 24,
        space: 70,
        values: (_, ticks, __, ___, step) => ticks.map((tick, i) => timeLabel(tick, ticks[i - 1], step)),
      },
      {
        ...axis,
        size: (_, texts) => 14 + 6.2 * Math.max(4, ...(texts ?? []).map((text) => text.length)),
        space: 22,
        values: (_, ticks) => ticks.map((tick) => latest.current.format(tick)),
        ...steps(latest.current.unit),
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
      ready: [(u) => listen(u, latest)],
      setSize: [(u) => placeMark(u, latest.current.mark)],
      setCursor: [(u) => tell(u, latest, readout.current)],
      setSelect: [
        (u) => {
          if (u.select.width < shortest) return;
          const [begin, end] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest.current.onZoom?.(begin * 1000, end * 1000);
        },
      ],
    },
  };
}

/** A click picks the instant under it; the end of a drag is none. */
function listen(u: uPlot, latest: Latest) {
  let pressed = 0;
  u.over.addEventListener("mousedown", (event) => {
    pressed = event.clientX;
  });
  u.over.addEventListener("click", (event) => {
    if (Math.abs(event.clientX - pressed) < shortest)
      latest.current.onPick?.(u.posToVal(event.clientX - u.over.getBoundingClientRect().left, "x") * 1000);
  });
}

/** Writes beside the title what is under the cursor. */
function tell(u: uPlot, latest: Latest, readout: HTMLElement | null) {
  if (!readout) return;
  const index = u.cursor.idx;
  const at = index === null || index === undefined ? undefined : u.data[0][index];
  if (at === undefined || (u.cursor.left ?? -1) < 0) {
    readout.textContent = "";
    return;
  }
  const values = latest.current.lines.map((line, i) => {
    const value = u.data[i + 1]?.[index!] ?? null;
    return latest.current.lines.length > 1
      ? `${line.label} ${latest.current.format(value)}`
      : latest.current.format(value);
  });
  readout.textContent = `${new Date(at * 1000).toLocaleTimeString()} ${values.join("  ")}`;
}

const hours = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dates = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });

/** A time as the viewer writes it, to the precision of the scale's step in seconds; where a day begins, its date. */
function timeLabel(at: number, before: number | undefined, step: number): string {
  const date = new Date(at * 1000);
  const midnight = date.getHours() + date.getMinutes() + date.getSeconds() === 0;
  if (step >= 86_400 || (midnight && before !== undefined)) return dates.format(date);
  return (step < 60 ? seconds : hours).format(date);
}

/** Steps of a scale that are round in its unit. */
function steps(unit: ChartProps["unit"]): { incrs?: number[] } {
  if (unit === "bytes") return { incrs: Array.from({ length: 50 }, (_, k) => 2 ** k) };
  return unit === "whole" ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000] } : {};
}

/** A line over the chart, and not in it: it moves while somebody scrubs, and nothing has to be drawn anew. */
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

/** A colour of the style sheet as a canvas takes it: the scheme decided, not its two sides. */
function resolve(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const fade = (rgb: string) => rgb.replace(/^rgb\((.*)\)$/, "rgba($1, 0.14)");
