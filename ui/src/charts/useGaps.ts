import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { chartQuery } from "../api/history";
import type { TimeWindow } from "../time/range";
import { type Gap, gapsOf } from "./gaps";

interface Gaps {
  gaps: Gap[];
  loading: boolean;
  error: Error | null;
}

/** Loads the times in a window at which a machine recorded nothing. */
export function useGaps(machineId: string, window: TimeWindow): Gaps {
  const { data, dataUpdatedAt, error, isPending } = useQuery(chartQuery(machineId, window));
  const gaps = useMemo(() => (data ? gapsOf(data, dataUpdatedAt) : []), [data, dataUpdatedAt]);
  return { gaps, loading: isPending && !error, error };
}
