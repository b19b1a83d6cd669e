import { Notice } from "../../components/Notice";
import { dateTime } from "../../format";
import type { UnknownUsage } from "./unknownUsage";

/** Says that the sums leave out processes with unknown usage. */
export function UnknownUsageNotice({ unknown }: { unknown: readonly UnknownUsage[] }) {
  if (unknown.length === 0) return null;
  return (
    <Notice title="The usage of some processes is unknown.">
      The sums in the charts leave it out. Values that do so begin with ≥:
      <ul>
        {unknown.map(({ kind, processes, from, to }) => (
          <li key={kind}>
            {kind} of {processes === 1 ? "1 process" : `up to ${processes.toLocaleString()} processes`} between{" "}
            {dateTime(from, "short")} and {dateTime(to, "short")}
          </li>
        ))}
      </ul>
    </Notice>
  );
}
