import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState } from "react";
import { iso } from "../../time/range";

/** How long the slider must rest before the URL is updated, in milliseconds. Browsers limit the rate of updates. */
const urlDelay = 200;

const toSearch = (ms: number | undefined) => (ms === undefined ? undefined : iso(Math.round(ms)));

interface SelectedInstant {
  /** The instant in RFC 3339; undefined for the live view. While the slider moves, the URL is updated later. */
  at: string | undefined;
  /** Selects an instant, as a new entry of the browser history. */
  go: (at: number | undefined) => void;
  /** Selects an instant while the slider moves. */
  scrub: (at: number | undefined) => void;
}

export function useSelectedInstant(): SelectedInstant {
  const { at } = useSearch({ from: "/machines/$machineId" });
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const [pending, setPending] = useState<{ at: string | undefined }>();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);

  const updateUrl = useCallback(
    (at: string | undefined, replace: boolean) =>
      navigate({ search: (before) => ({ ...before, at }), replace, resetScroll: false }),
    [navigate],
  );
  const go = useCallback(
    (ms: number | undefined) => {
      clearTimeout(timer.current);
      setPending(undefined);
      void updateUrl(toSearch(ms), false);
    },
    [updateUrl],
  );
  const scrub = useCallback(
    (ms: number | undefined) => {
      const next = toSearch(ms);
      setPending({ at: next });
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void updateUrl(next, true).then(() => setPending(undefined)), urlDelay);
    },
    [updateUrl],
  );
  useEffect(() => () => clearTimeout(timer.current), []);
  return { at: pending ? pending.at : at, go, scrub };
}
