import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { SnapshotView } from "../../api/client";
import { snapshotAtQuery } from "../../api/machines";
import type { LiveSnapshot } from "../../live/socket";

interface SnapshotAt {
  snapshot: LiveSnapshot | undefined;
  error: Error | null;
  /** True while the snapshot belongs to an earlier request. */
  busy: boolean;
}

const toLiveSnapshot = (view: SnapshotView): LiveSnapshot => ({
  timestamp: view.timestamp,
  intervalMs: view.interval_ms,
  metrics: view.machine_snapshot,
  processes: view.processes ?? [],
  ended: view.ended,
});

/** Loads the snapshot at an instant. There is only one request at a time; the next one is for the newest instant. */
export function useSnapshotAt(machineId: string, at: string | undefined): SnapshotAt {
  const [requested, setRequested] = useState(at);
  const instant = at === undefined || requested === undefined ? at : requested;
  const { data, error, isFetching, isPlaceholderData } = useQuery({
    ...snapshotAtQuery(machineId, instant ?? ""),
    enabled: instant !== undefined,
    select: toLiveSnapshot,
  });
  if (requested !== at && (!isFetching || at === undefined)) setRequested(at);
  return {
    snapshot: at === undefined || error ? undefined : data,
    error: at === undefined ? null : error,
    busy: at !== undefined && (isPlaceholderData || instant !== at),
  };
}
