import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { chartQuery } from "../../api/history";
import { drawnSpans, gapsOf } from "../../charts/gaps";
import { type LivePoint, appendLive } from "../../charts/series";
import { widthOf } from "../../charts/spans";
import type { LiveSnapshot } from "../../live/socket";
import type { TimeWindow } from "../../time/range";

/** The largest number of live snapshots to keep. The chart is reloaded long before there are so many. */
const maxLivePoints = 600;

/** Loads the chart of a machine. Live snapshots extend a chart that has one point per snapshot. */
export function useMachineChart(machineId: string, window: TimeWindow, snapshot: LiveSnapshot | undefined) {
  const { data, dataUpdatedAt, error, isPending, isPlaceholderData } = useQuery(chartQuery(machineId, window));
  const [live, setLive] = useState<LivePoint[]>([]);
  if (snapshot && snapshot.timestamp > (live.at(-1)?.timestamp ?? "")) {
    const end = data?.series.timestamps.at(-1) ?? "";
    const newer = live.filter((point) => point.timestamp > end);
    setLive([...newer, snapshot].slice(-maxLivePoints));
  }
  const chart = useMemo(
    () =>
      data && window.moving && data.resolution === "raw" ? appendLive(data.series, data.from, live) : data?.series,
    [data, window.moving, live],
  );
  const gaps = useMemo(() => (data && chart ? gapsOf(data, dataUpdatedAt, chart) : []), [data, dataUpdatedAt, chart]);
  const spans = useMemo(() => {
    const width = widthOf(data?.resolution);
    return chart && width > 0 ? drawnSpans(chart, width, dataUpdatedAt, gaps) : undefined;
  }, [data, dataUpdatedAt, chart, gaps]);
  return {
    chart,
    /** When the values of each bucket are drawn; undefined if the points are snapshots. */
    spans,
    /** The times without data. */
    gaps,
    truncated: data?.truncated ?? false,
    error,
    loading: isPending || isPlaceholderData,
  };
}
