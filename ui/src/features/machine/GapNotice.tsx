import type { SnapshotView } from "../../api/client";
import { Notice } from "../../components/Notice";
import { DateTime } from "../../components/Timestamps";
import { dateTime, duration } from "../../format";

interface GapNoticeProps {
  /** The timestamp of the shown snapshot, the last one before the gap. */
  timestamp: string;
  coverage: Pick<SnapshotView, "age_ms" | "next_timestamp">;
  onGo: (at: number) => void;
}

/** Says that nothing was recorded at the selected instant, and which snapshot is shown instead. */
export function GapNotice({ timestamp, coverage: { age_ms, next_timestamp: next }, onGo }: GapNoticeProps) {
  return (
    <Notice title="No data for this time.">
      Showing the last snapshot before it, from <DateTime at={timestamp} /> ({duration(age_ms)} earlier).{" "}
      {next ? (
        <button type="button" className="plain" onClick={() => onGo(Date.parse(next))}>
          Show the next snapshot, from {dateTime(next)}
        </button>
      ) : (
        "There is no later snapshot."
      )}
    </Notice>
  );
}
