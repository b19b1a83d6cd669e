import { type UseQueryResult, useQueries, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { MachineHistory } from "../api/client";
import { chartQuery } from "../api/history";
import type { TimeWindow } from "../time/range";
import { type Gap, commonGaps, gapsOf } from "./gaps";

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

/** The largest number of machines whose gaps are loaded for one chart. */
const maxMachines = 4;

/**
 * Loads the times in a window at which none of the machines recorded anything. Returns undefined while they are loading,
 * and if there are too many machines.
 */
export function useCommonGaps(machineIds: readonly string[], window: TimeWindow): Gap[] | undefined {
  const loaded = machineIds.length <= maxMachines ? machineIds : [];
  return useQueries({ queries: loaded.map((id) => chartQuery(id, window)), combine: toCommonGaps });
}

function toCommonGaps(results: UseQueryResult<MachineHistory>[]): Gap[] | undefined {
  const machines = results.flatMap(({ data, dataUpdatedAt }) => (data ? [gapsOf(data, dataUpdatedAt)] : []));
  return machines.length > 0 && machines.length === results.length ? commonGaps(machines) : undefined;
}
