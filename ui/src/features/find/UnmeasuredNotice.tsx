import { Notice } from "../../components/Notice";
import { dateTime } from "../../format";
import type { Unmeasured } from "./unmeasured";

/** The number of times that are listed. */
const listed = 5;

interface UnmeasuredNoticeProps {
  times: readonly Unmeasured[];
}

/** Says when only some of the machines were measured. */
export function UnmeasuredNotice({ times }: UnmeasuredNoticeProps) {
  if (times.length === 0) return null;
  return (
    <Notice title="Some machines were not measured all the time.">
      The sums in the charts do not include them at these times, which are hatched:
      <ul>
        {times.slice(0, listed).map(({ from, to, measured, expected }) => (
          <li key={from}>
            {dateTime(from, "short")} – {dateTime(to, "short")}: {measured.toLocaleString()} of{" "}
            {expected.toLocaleString()} machines were measured
          </li>
        ))}
        {times.length > listed && <li>and {times.length - listed} more</li>}
      </ul>
    </Notice>
  );
}
