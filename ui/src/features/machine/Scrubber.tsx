import { memo, useMemo } from "react";
import type { MachineChart } from "../../api/client";
import { dateTime, utc } from "../../format";
import { useNow } from "../../hooks/useNow";
import { type TimeWindow, iso, liveEnd } from "../../time/range";

interface ScrubberProps {
  window: TimeWindow;
  /** The selected instant in milliseconds; undefined for the live view. */
  at: number | undefined;
  /** The timestamp of the shown snapshot. */
  timestamp: string | undefined;
  intervalMs: number;
  chart: MachineChart | undefined;
  /** Called while the slider moves. */
  onScrub: (at: number | undefined) => void;
  /** Called when an instant is selected by a button. */
  onGo: (at: number | undefined) => void;
}

/** Returns the factor by which a key moves the slider, in steps. */
const stepsOf = (key: string): number | undefined =>
  ({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20 })[key];

/** A slider that moves the whole page through time. */
export function Scrubber(props: ScrubberProps) {
  const { window, at, timestamp, intervalMs, chart, onScrub, onGo } = props;
  const { from, to } = window;
  const shown = timestamp ? Date.parse(timestamp) : undefined;
  const { live, endsNow } = liveEnd(window, useNow(), intervalMs);
  const value = Math.min(to, Math.max(from, at ?? live ?? to));
  const move = (next: number) => onScrub(live !== undefined && next >= live - 1000 ? undefined : next);
  return (
    <div className="scrubber" role="group" aria-label="Time navigation">
      <button
        type="button"
        className="plain"
        disabled={shown === undefined}
        title="Previous snapshot"
        aria-label="Previous snapshot"
        onClick={() => shown !== undefined && onGo(shown - 1)}
      >
        ◀
      </button>
      <div className="scrubber-track">
        <CpuProfile chart={chart} from={from} to={to} />
        <input
          type="range"
          aria-label="Time"
          aria-valuetext={at === undefined ? "now" : dateTime(at)}
          title={at === undefined ? undefined : utc(at)}
          min={from}
          max={to}
          step="any"
          value={value}
          onChange={(e) => move(Number(e.target.value))}
          onKeyDown={(e) => {
            const steps = stepsOf(e.key);
            if (!steps) return;
            e.preventDefault();
            move(Math.min(to, Math.max(from, value + steps * Math.max(intervalMs, (to - from) / 1000))));
          }}
        />
        <div className="scrubber-ends quiet">
          <time dateTime={iso(from)} title={utc(from)}>
            {dateTime(from)}
          </time>
          <time dateTime={iso(to)} title={utc(to)}>
            {endsNow ? "now" : dateTime(to)}
          </time>
        </div>
      </div>
      <button
        type="button"
        className="plain"
        disabled={at === undefined || shown === undefined}
        title="Next snapshot"
        aria-label="Next snapshot"
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

const profileWidth = 1000;
const profileHeight = 30;

/** The CPU usage of the machine, behind the slider. */
const CpuProfile = memo(function CpuProfile(props: { chart: MachineChart | undefined; from: number; to: number }) {
  const { chart, from, to } = props;
  const path = useMemo(() => {
    const bar = (time: string, i: number) => {
      const x = ((Date.parse(time) - from) / (to - from)) * profileWidth;
      const height = ((chart?.cpu_usage_max[i] ?? 0) / 100) * (profileHeight - 2) + 1;
      return `M${x.toFixed(1)} ${profileHeight}v-${height.toFixed(1)}`;
    };
    return chart?.timestamps.map(bar).join("");
  }, [chart, from, to]);
  return (
    <svg
      className="scrubber-shape"
      viewBox={`0 0 ${profileWidth} ${profileHeight}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path d={path} vectorEffect="non-scaling-stroke" />
    </svg>
  );
});
