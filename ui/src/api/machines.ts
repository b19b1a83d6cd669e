import { type Query, keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { type ConfigPatch, type Machine, type SnapshotView, client, throwOnError, unwrap } from "./client";
import { replaceQueryData } from "./queryData";

/** Lists all machines, page by page. */
export const machinesQuery = queryOptions({
  queryKey: ["machines"],
  queryFn: async ({ signal }): Promise<Machine[]> => {
    const machines: Machine[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: 1000, ...(cursor && { cursor }) };
      const page = unwrap(await client.GET("/api/v1/machines", { params: { query }, signal }));
      machines.push(...page.results);
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
    return machines;
  },
  // A list of ten thousand machines has ten megabytes, so long lists are reloaded less often.
  refetchInterval: (query) => (query.state.data?.length ? Math.max(1000, 1.5 * query.state.data.length) : 1000),
});

/** Returns a machine with its settings. */
export const machineQuery = (machineId: string) =>
  queryOptions({
    queryKey: ["machines", machineId],
    refetchInterval: 5000,
    queryFn: async ({ signal }) => {
      const params = { path: { machine_id: machineId } };
      return unwrap(await client.GET("/api/v1/machines/{machine_id}", { params, signal }));
    },
  });

/**
 * Returns the newest snapshot at or before an instant, with a flat list of processes. The past does not change, but at
 * the end of the data, newer snapshots may arrive.
 */
export const snapshotAtQuery = (machineId: string, at: string) =>
  queryOptions({
    queryKey: ["machines", machineId, "at", at],
    staleTime: ({ state }: Query<SnapshotView, Error, SnapshotView, string[]>) =>
      state.data?.next_timestamp === null ? 0 : Number.POSITIVE_INFINITY,
    gcTime: 60_000, // Moving the time slider requests many snapshots.
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const params = { path: { machine_id: machineId }, query: { time: at } };
      return unwrap(await client.GET("/api/v1/machines/{machine_id}/at", { params, signal }));
    },
  });

/** Changes the settings of a machine. Fails with 412 if they have changed since the given version. */
export function useUpdateMachine(machineId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ patch, version }: { patch: ConfigPatch; version: number }) => {
      const params = { path: { machine_id: machineId }, header: { "If-Match": `"${version}"` } };
      return unwrap(await client.PATCH("/api/v1/machines/{machine_id}", { params, body: patch }));
    },
    onSuccess: (machine) => replaceQueryData(queries, machineQuery(machineId).queryKey, machine),
    onError: () => queries.invalidateQueries({ queryKey: machineQuery(machineId).queryKey }),
  });
}

/** Deletes a machine and its history. */
export function useDeleteMachine(machineId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      const params = { path: { machine_id: machineId } };
      throwOnError(await client.DELETE("/api/v1/machines/{machine_id}", { params }));
    },
    onSuccess: () => {
      queries.removeQueries({ queryKey: machineQuery(machineId).queryKey });
      return queries.invalidateQueries({ queryKey: machinesQuery.queryKey, exact: true });
    },
  });
}
