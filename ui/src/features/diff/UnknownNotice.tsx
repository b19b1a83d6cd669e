import type { MachineDiff } from "../../api/client";
import { Notice } from "../../components/Notice";
import type { Measure } from "../../processes/diff";

interface UnknownNoticeProps {
  by: Measure;
  /** The number of processes at both times whose memory or threads are unknown at one of them. */
  unknown: number;
  between: Pick<MachineDiff, "unseen_processes" | "dropped_snapshots">;
  /** Whether no process is known to have started, ended or changed. */
  unchanged: boolean;
}

/** Says which differences between two times are not known. */
export function UnknownNotice({ by, unknown, between, unchanged }: UnknownNoticeProps) {
  const { unseen_processes: unseen, dropped_snapshots: dropped } = between;
  return (
    <Notice title="Some differences are unknown.">
      {unchanged && "No process is known to have started, ended or changed. "}
      <ul>
        {unknown > 0 && (
          <li>
            The {by === "memory" ? "memory usage" : "number of threads"} of {countOf(unknown, "process", "processes")}{" "}
            is unknown at one of the two times or at both.
          </li>
        )}
        {unseen > 0 && (
          <li>
            Up to {countOf(unseen, "short-lived process or thread was", "short-lived processes or threads were")} not
            recorded in between.
          </li>
        )}
        {dropped > 0 && <li>{countOf(dropped, "snapshot", "snapshots")} in between did not reach the server.</li>}
      </ul>
    </Notice>
  );
}

const countOf = (n: number, one: string, many: string) => `${n.toLocaleString()} ${n === 1 ? one : many}`;
