import type { SnapshotView } from "../api/client";
import { duration } from "../format";

/** An age that is shown although the machine did record at the time, in milliseconds. */
const noticeable = 10_000;

interface SnapshotAgeProps {
  coverage: Pick<SnapshotView, "age_ms" | "in_gap"> | undefined;
}

/** Says how much earlier than the selected time a snapshot was taken, unless it is a few seconds. */
export function SnapshotAge({ coverage }: SnapshotAgeProps) {
  return coverage && (coverage.in_gap || coverage.age_ms >= noticeable) && ` (${duration(coverage.age_ms)} earlier)`;
}
