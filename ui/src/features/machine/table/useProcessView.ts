import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo } from "react";
import { preferencesQuery, useSetPreferences } from "../../../api/account";
import type { MachineSearch } from "../search";
import { type View, defaultView, mebibyte } from "../../../processes/rows";

/** How the processes are shown: it is in the URL, and names that are included or left out are kept for the person too. */
export function useProcessView() {
  const { sort, desc, filter, user, cpu, mem, include, exclude, flat } = useSearch({ from: "/machines/$machineId" });
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const { data: preferences } = useQuery(preferencesQuery);
  const { mutate: keep } = useSetPreferences();

  const change = useCallback(
    (change: Partial<MachineSearch>) =>
      void navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false }),
    [navigate],
  );

  const setNames = useCallback(
    (which: "include" | "exclude", names: string[]) => {
      keep({ ...preferences, [which]: names }); // first: what is kept is put back into a URL that lacks it
      change({ [which]: names.length > 0 ? names : undefined });
    },
    [change, keep, preferences],
  );

  // What is kept goes into the URL, so that a link shows to others what is seen here.
  useEffect(() => {
    const kept = {
      ...(!exclude && preferences?.exclude?.length && { exclude: preferences.exclude }),
      ...(!include && preferences?.include?.length && { include: preferences.include }),
    };
    if (Object.keys(kept).length > 0) change(kept);
  }, [exclude, include, preferences, change]);

  const view = useMemo(
    (): View => ({
      ...defaultView,
      ...(sort && { sort }),
      descending: desc ?? false,
      filter: filter ?? "",
      user: user ?? "",
      cpu: cpu ?? 0,
      memory: (mem ?? 0) * mebibyte,
      include: include ?? [],
      exclude: exclude ?? [],
      flat: flat ?? false,
    }),
    [sort, desc, filter, user, cpu, mem, include, exclude, flat],
  );
  return {
    view,
    change,
    setNames,
    chosen: preferences?.columns,
    choose: (columns: string[]) => keep({ ...preferences, columns }),
  };
}
