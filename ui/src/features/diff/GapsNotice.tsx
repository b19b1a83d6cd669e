import { Notice } from "../../components/Notice";
import { dateTime, duration } from "../../format";
import type { GapBetween } from "./gapsBetween";

/** The number of gaps that are listed. */
const listedGaps = 5;

interface GapsNoticeProps {
  gaps: readonly GapBetween[];
  /** Whether no process started, ended or changed outside of the gaps. */
  unchanged: boolean;
}

/** Lists the times between two instants at which the machine recorded nothing. */
export function GapsNotice({ gaps, unchanged }: GapsNoticeProps) {
  return (
    <Notice title="There are gaps between the two times.">
      Processes that ran only in a gap are not listed.{" "}
      {unchanged && "Otherwise, no process started, ended or changed. "}
      No data:
      <ul>
        {gaps.slice(0, listedGaps).map((gap) => (
          <li key={gap.from}>{describe(gap)}</li>
        ))}
        {gaps.length > listedGaps && <li>and {gaps.length - listedGaps} more</li>}
      </ul>
    </Notice>
  );
}

/** Describes a gap by the buckets that it is in, because its exact times are not known in longer ones. */
function describe({ from, to, width }: GapBetween): string {
  if (width <= 60_000) return `${dateTime(from)} – ${dateTime(to)}`;
  const [begin, end] = [Math.floor(from / width) * width, Math.ceil(to / width) * width];
  return `about ${duration(to - from)} between ${dateTime(begin)} and ${dateTime(end)}`;
}
