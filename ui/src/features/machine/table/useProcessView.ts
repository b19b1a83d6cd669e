import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo } from "react";
import { preferencesQuery, useSetPreferences } from "../../../api/account";
import { type View, defaultView, mebibyte } from "../../../processes/rows";
import type { MachineSearch } from "../search";

/**
 * Returns the filters, the order and the columns of the process table, with functions that change them.
 * They are in the URL. Included and excluded names and the columns are also stored for the user.
 */
export function useProcessView() {
  const search = useSearch({ from: "/machines/$machineId" });
  const { sort, desc, filter, user, cpu, mem, include, exclude, flat } = search;
  const navigate = useNavigate({ from: "/machines/$machineId" });
  const { data: preferences } = useQuery(preferencesQuery);
  const { mutate: setPreferences } = useSetPreferences();

  const change = useCallback(
    (change: Partial<MachineSearch>) =>
      void navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false }),
    [navigate],
  );

  const setNames = useCallback(
    (which: "include" | "exclude", names: string[]) => {
      // Preferences must change first: the effect below copies them to a URL without names.
      setPreferences({ ...preferences, [which]: names });
      change({ [which]: names.length > 0 ? names : undefined });
    },
    [change, setPreferences, preferences],
  );

  // Copies stored names to the URL, so that a shared link shows the same processes to other users.
  useEffect(() => {
    const stored = {
      ...(!exclude && preferences?.exclude?.length && { exclude: preferences.exclude }),
      ...(!include && preferences?.include?.length && { include: preferences.include }),
    };
    if (Object.keys(stored).length > 0) change(stored);
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
  const setColumns = (columns: string[]) => setPreferences({ ...preferences, columns });
  return { view, change, setNames, columnIds: preferences?.columns, setColumns };
}
