import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState } from "react";
import type { SnapshotView } from "../../api/client";
import { snapshotAtQuery } from "../../api/machines";
import type { LiveSnapshot } from "../../live/socket";
import { iso } from "../../time/range";

/** How long nothing is scrubbed before the instant goes into the URL: browsers bound how often it may change. */
const settle = 200;

/** An instant as it stands in the URL. */
const named = (ms: number | undefined) => (ms === undefined ? undefined : iso(Math.round(ms)));

/** The instant that the page shows, RFC 3339; undefined is the present. While somebody scrubs it runs ahead of the URL. */
export function useSelectedInstant(): {
  at: string | undefined;
  go: (at: number | undefined) => void;
  scrub: (at: number | undefined) => void;
} {
  const { at } = useSearch({ from: "/machines/$machineId" });
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const [ahead, setAhead] = useState<{ at: string | undefined }>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const put = useCallback(
    (at: string | undefined, replace: boolean) =>
      navigate({ search: (before) => ({ ...before, at }), replace, resetScroll: false }),
    [navigate],
  );

  const go = useCallback(
    (ms: number | undefined) => {
      clearTimeout(timer.current);
      setAhead(undefined);
      void put(named(ms), false);
    },
    [put],
  );
  const scrub = useCallback(
    (ms: number | undefined) => {
      const next = named(ms);
      setAhead({ at: next });
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void put(next, true).then(() => setAhead(undefined)), settle);
    },
    [put],
  );
  useEffect(() => () => clearTimeout(timer.current), []);
  return { at: ahead ? ahead.at : at, go, scrub };
}

/** An answer as the page shows it. Not made anew at each render: results are kept by it. */
const asSnapshot = (view: SnapshotView): LiveSnapshot => ({
  timestamp: view.timestamp,
  intervalMs: view.interval_ms,
  metrics: view.machine_snapshot,
  processes: view.processes ?? [],
});

/** The machine at an instant. While it changes faster than answers come, only the newest is asked for, one at a time. */
export function useSnapshotAt(
  machineId: string,
  at: string | undefined,
): { snapshot: LiveSnapshot | undefined; error: Error | null; busy: boolean } {
  const [asked, setAsked] = useState(at);
  const wanted = at === undefined || asked === undefined ? at : asked;
  const { data, error, isFetching, isPlaceholderData } = useQuery({
    ...snapshotAtQuery(machineId, wanted ?? ""),
    enabled: wanted !== undefined,
    select: asSnapshot,
  });
  useEffect(() => {
    if (!isFetching || at === undefined) setAsked(at);
  }, [at, isFetching]);
  return {
    snapshot: at === undefined || error ? undefined : data,
    error: at === undefined ? null : error,
    busy: at !== undefined && (isPlaceholderData || wanted !== at),
  };
}
