import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { SnapshotView } from "../../api/client";
import { snapshotAtQuery } from "../../api/machines";
import type { LiveSnapshot } from "../../live/socket";

interface SnapshotAt {
  snapshot: LiveSnapshot | undefined;
  /** How the snapshot relates to the instant. */
  coverage: Coverage | undefined;
  error: Error | null;
  /** True while the snapshot belongs to an earlier request. */
  busy: boolean;
}

type Coverage = Pick<SnapshotView, "age_ms" | "in_gap" | "next_timestamp">;

const withCoverage = (view: SnapshotView): { snapshot: LiveSnapshot; coverage: Coverage } => ({
  snapshot: {
    timestamp: view.timestamp,
    intervalMs: view.interval_ms ?? 0,
    metrics: view.machine_snapshot,
    processes: view.processes ?? [],
    ended: view.ended,
  },
  coverage: view,
});

/** Loads the snapshot at an instant. There is only one request at a time; the next one is for the newest instant. */
export function useSnapshotAt(machineId: string, at: string | undefined): SnapshotAt {
  const [requested, setRequested] = useState(at);
  const instant = at === undefined || requested === undefined ? at : requested;
  const { data, error, isFetching, isPlaceholderData } = useQuery({
    ...snapshotAtQuery(machineId, instant ?? ""),
    enabled: instant !== undefined,
    select: withCoverage,
  });
  if (requested !== at && (!isFetching || at === undefined)) setRequested(at);
  return {
    snapshot: at === undefined || error ? undefined : data?.snapshot,
    coverage: at === undefined || error ? undefined : data?.coverage,
    error: at === undefined ? null : error,
    busy: at !== undefined && (isPlaceholderData || instant !== at),
  };
}
