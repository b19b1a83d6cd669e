import { memo, useMemo } from "react";
import type { MachineChart } from "../../api/client";
import { moment, utc } from "../../format";
import { type TimeWindow, iso } from "../../time/range";

interface ScrubberProps {
  window: TimeWindow;
  /** The instant that the page shows, in milliseconds; undefined is the present. */
  at: number | undefined;
  /** The snapshot that is shown, to step from. */
  timestamp: string | undefined;
  intervalMs: number;
  chart: MachineChart | undefined;
  onScrub: (at: number | undefined) => void;
  onGo: (at: number | undefined) => void;
}

const shapeWidth = 1000;
const shapeHeight = 30;

/** The line of time under the charts: it moves the whole page to any instant of it. */
export function Scrubber({ window: { from, to }, at, timestamp, intervalMs, chart, onScrub, onGo }: ScrubberProps) {
  const value = Math.min(to, Math.max(from, at ?? to));
  const shown = timestamp ? Date.parse(timestamp) : undefined;
  // The right end is the present, unless the window ends before it.
  const live = to >= Date.now() - 2 * Math.max(intervalMs, 1000);
  const move = (next: number) => onScrub(live && next >= to - 1000 ? undefined : next);
  return (
    <div className="scrubber" role="group" aria-label="Time">
      <button
        type="button"
        className="plain"
        disabled={shown === undefined}
        title="The snapshot before"
        aria-label="The snapshot before"
        onClick={() => shown !== undefined && onGo(shown - 1)}
      >
        ◀
      </button>
      <div className="scrubber-track">
        <Shape chart={chart} from={from} to={to} />
        <input
          type="range"
          aria-label="Instant"
          aria-valuetext={at === undefined ? "now" : moment(at)}
          title={at === undefined ? undefined : utc(at)}
          min={from}
          max={to}
          step="any"
          value={value}
          onChange={(e) => move(Number(e.target.value))}
          onKeyDown={(e) => {
            const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20 }[e.key];
            if (!by) return;
            e.preventDefault();
            move(Math.min(to, Math.max(from, value + by * Math.max(intervalMs, (to - from) / 1000))));
          }}
        />
        <div className="scrubber-ends quiet">
          <time dateTime={iso(from)} title={utc(from)}>
            {moment(from)}
          </time>
          <time dateTime={iso(to)} title={utc(to)}>
            {live ? "now" : moment(to)}
          </time>
        </div>
      </div>
      <button
        type="button"
        className="plain"
        disabled={at === undefined || shown === undefined}
        title="The snapshot after"
        aria-label="The snapshot after"
        onClick={() => shown !== undefined && onGo(shown + Math.max(intervalMs, 500) * 1.2)}
      >
        ▶
      </button>
      <button
        type="button"
        className={at === undefined ? "choice" : ""}
        aria-pressed={at === undefined}
        onClick={() => onGo(undefined)}
      >
        Live
      </button>
    </div>
  );
}

/** How busy the machine was, behind the slider: where to look. */
const Shape = memo(function Shape({ chart, from, to }: { chart: MachineChart | undefined; from: number; to: number }) {
  const path = useMemo(() => {
    let d = "";
    chart?.timestamps.forEach((time, i) => {
      const x = ((Date.parse(time) - from) / (to - from)) * shapeWidth;
      const height = ((chart.cpu_usage_max[i] ?? 0) / 100) * (shapeHeight - 2) + 1;
      d += `M${x.toFixed(1)} ${shapeHeight}v-${height.toFixed(1)}`;
    });
    return d;
  }, [chart, from, to]);
  return (
    <svg
      className="scrubber-shape"
      viewBox={`0 0 ${shapeWidth} ${shapeHeight}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path d={path} vectorEffect="non-scaling-stroke" />
    </svg>
  );
});
