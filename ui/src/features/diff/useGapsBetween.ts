import { useQuery } from "@tanstack/react-query";
import type { MachineHistory } from "../../api/client";
import { chartQuery } from "../../api/history";
import { findGaps } from "../../charts/gaps";
import { type Span, widthOf } from "../../charts/spans";
import { type GapBetween, join, partsOf } from "./gapsBetween";

interface GapsBetween {
  /** The gaps; undefined while they are loading. */
  list: GapBetween[] | undefined;
  error: Error | null;
}

/** An empty range, which is not loaded. */
const nothing: Span = { from: 0, to: 0 };

/** Loads the metrics of a machine in a range, to find the gaps in a part of it. */
function useHistory(machineId: string, range: Span, part = range) {
  const enabled = range.from < range.to;
  const { data, dataUpdatedAt, isPlaceholderData, error } = useQuery({
    ...chartQuery(machineId, { ...range, moving: false }),
    enabled,
  });
  const history: MachineHistory | undefined = enabled && !isPlaceholderData ? data : undefined;
  return { part, history, loadedAt: dataUpdatedAt, isLoading: enabled && !history, error };
}

type LoadedHistory = Pick<ReturnType<typeof useHistory>, "part" | "history" | "loadedAt">;

/** Finds the gaps of a part that is not in the future. */
const gapsIn = ({ part, history, loadedAt }: LoadedHistory): GapBetween[] =>
  history
    ? findGaps(history.series, history.resolution, {
        from: part.from,
        to: Math.min(part.to, loadedAt),
        now: loadedAt,
      }).map((gap) => ({
        ...gap,
        width: widthOf(history.resolution),
      }))
    : [];

/** Returns the times between two instants at which the machine recorded nothing. */
export function useGapsBetween(machineId: string, from: string | undefined, to: string | undefined): GapsBetween {
  const [begin, end] = [Date.parse(from ?? ""), Date.parse(to ?? "")];
  const range = { from: begin, to: end };
  const whole = useHistory(machineId, range);
  const width = widthOf(whole.history?.resolution);
  const { start, middle, end: rest } = partsOf(range, width);
  // The buckets at both ends are loaded in a finer resolution. They are as long as others, so that they have snapshots.
  const first = useHistory(machineId, start.from < start.to ? { from: begin, to: begin + width } : nothing, start);
  const last = useHistory(machineId, rest.from < rest.to ? { from: end - width, to: end } : nothing, rest);
  const loaded = [first, { ...whole, part: middle }, last];
  const isLoading = !from || !to || loaded.some(({ isLoading }) => isLoading);
  return {
    list: isLoading ? undefined : join(loaded.flatMap(gapsIn)),
    error: whole.error ?? first.error ?? last.error,
  };
}
