import { useQuery } from "@tanstack/react-query";
import { useMemo, useRef } from "react";
import { chartQuery } from "../../api/history";
import { type LivePoint, appendLive } from "../../charts/series";
import type { LiveSnapshot } from "../../live/socket";
import type { TimeWindow } from "../../time/range";

/** More than a chart of every snapshot has to wait for its next answer. */
const longestTail = 600;

/** A machine's chart, which live snapshots continue where it has a point for each. */
export function useMachineChart(machineId: string, window: TimeWindow, snapshot: LiveSnapshot | undefined) {
  const { data, error, isPending, isPlaceholderData } = useQuery(chartQuery(machineId, window));
  const tail = useRef<LivePoint[]>([]);
  if (snapshot && snapshot.timestamp > (tail.current.at(-1)?.timestamp ?? "")) {
    const end = data?.series.timestamps.at(-1) ?? "";
    tail.current = [
      ...tail.current.filter((point) => point.timestamp > end),
      { timestamp: snapshot.timestamp, intervalMs: snapshot.intervalMs, metrics: snapshot.metrics },
    ].slice(-longestTail);
  }
  const newest = tail.current.at(-1);
  const chart = useMemo(
    () =>
      data && window.moving && data.resolution === "raw" && newest
        ? appendLive(data.series, tail.current)
        : data?.series,
    [data, window.moving, newest],
  );
  return {
    chart,
    resolution: data?.resolution,
    truncated: data?.truncated ?? false,
    error,
    loading: isPending || isPlaceholderData,
  };
}
