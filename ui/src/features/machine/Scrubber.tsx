import { memo, useMemo } from "react";
import type { MachineChart } from "../../api/client";
import type { Gap } from "../../charts/gaps";
import type { Span } from "../../charts/spans";
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
  /** The timestamp of the next snapshot; null if there is none, and undefined if it is unknown. */
  next: string | null | undefined;
  chart: MachineChart | undefined;
  /** When the values of each bucket are drawn; undefined if the points are snapshots. */
  spans: Span[][] | undefined;
  gaps: readonly Gap[];
  /** Called while the slider moves. */
  onScrub: (at: number | undefined) => void;
  /** Selects the snapshot before the shown one. */
  onPrevious: () => void;
  /** Called when an instant is selected by a button. */
  onGo: (at: number | undefined) => void;
}

/** Returns the factor by which a key moves the slider, in steps. */
const stepsOf = (key: string): number | undefined =>
  ({ ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -20, PageUp: 20 })[key];

/** A slider that moves the whole page through time. */
export function Scrubber(props: ScrubberProps) {
  const { window, at, timestamp, intervalMs, next, chart, spans, gaps, onScrub, onPrevious, onGo } = props;
  const { from, to } = window;
  const shown = timestamp ? Date.parse(timestamp) : undefined;
  const { live, endsNow } = liveEnd(window, useNow(), intervalMs);
  const value = Math.min(to, Math.max(from, at ?? live ?? to));
  const move = (ms: number) => onScrub(live !== undefined && ms >= live - 1000 ? undefined : ms);
  const inGap = at !== undefined && gaps.some((gap) => gap.from < at && at < gap.to);
  return (
    <div className="scrubber" role="group" aria-label="Time navigation">
      <button
        type="button"
        className="plain"
        disabled={shown === undefined}
        title="Previous snapshot"
        aria-label="Previous snapshot"
        onClick={onPrevious}
      >
        ◀
      </button>
      <div className="scrubber-track">
        <Gaps gaps={gaps} from={from} to={to} />
        <CpuProfile chart={chart} spans={spans} from={from} to={to} />
        <input
          type="range"
          aria-label="Time"
          aria-valuetext={at === undefined ? "now" : `${dateTime(at)}${inGap ? ", no data" : ""}`}
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
          {gaps.length > 0 && <span className="gap-legend">no data</span>}
          <time dateTime={iso(to)} title={utc(to)}>
            {endsNow ? "now" : dateTime(to)}
          </time>
        </div>
      </div>
      <button
        type="button"
        className="plain"
        disabled={at === undefined || next === undefined}
        title="Next snapshot"
        aria-label="Next snapshot"
        onClick={() => onGo(next ? Date.parse(next) : undefined)}
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

/** Hatched areas behind the slider where there is no data. */
function Gaps({ gaps, from, to }: { gaps: readonly Gap[]; from: number; to: number }) {
  const percentOf = (ms: number) => (100 * (Math.min(to, Math.max(from, ms)) - from)) / (to - from);
  return (
    <div className="scrubber-gaps" aria-hidden="true">
      {gaps
        .filter((gap) => gap.to > from && gap.from < to)
        .map((gap) => (
          <span
            key={gap.from}
            data-gap={iso(gap.from)}
            style={{ left: `${percentOf(gap.from)}%`, width: `${percentOf(gap.to) - percentOf(gap.from)}%` }}
          />
        ))}
    </div>
  );
}

interface CpuProfileProps {
  chart: MachineChart | undefined;
  spans: Span[][] | undefined;
  from: number;
  to: number;
}

/** Returns the middle of the first span of a bucket. */
const middleOf = ([span]: Span[] = []) => span && (span.from + span.to) / 2;

const profileWidth = 1000;
const profileHeight = 30;

/** The CPU usage of the machine, behind the slider. */
const CpuProfile = memo(function CpuProfile(props: CpuProfileProps) {
  const { chart, spans, from, to } = props;
  const path = useMemo(() => {
    const bar = (time: string, i: number) => {
      const x = (((middleOf(spans?.[i]) ?? Date.parse(time)) - from) / (to - from)) * profileWidth;
      const height = ((chart?.cpu_usage_max[i] ?? 0) / 100) * (profileHeight - 2) + 1;
      return `M${x.toFixed(1)} ${profileHeight}v-${height.toFixed(1)}`;
    };
    return chart?.timestamps.map(bar).join("");
  }, [chart, spans, from, to]);
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
