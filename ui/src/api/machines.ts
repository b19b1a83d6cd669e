import { keepPreviousData, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { ApiError, type ConfigPatch, type Machine, client, unwrap } from "./client";
import { retryServerErrors } from "./history";

/** All machines, page by page, asked for again every few seconds; sooner while there is none. */
export const machinesQuery = queryOptions({
  queryKey: ["machines"],
  queryFn: async ({ signal }): Promise<Machine[]> => {
    const machines: Machine[] = [];
    let cursor: string | undefined;
    do {
      const page = unwrap(
        await client.GET("/api/v1/machines", { params: { query: { limit: 1000, ...(cursor && { cursor }) } }, signal }),
      );
      machines.push(...page.results);
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
    return machines;
  },
  // Ten thousand machines are ten megabytes: they are not asked for every other second.
  refetchInterval: (query) => (query.state.data?.length ? Math.max(1000, 1.5 * query.state.data.length) : 1000),
});

/** One machine with its config. */
export const machineQuery = (machineId: string) =>
  queryOptions({
    queryKey: ["machines", machineId],
    refetchInterval: 5000,
    retry: (count, error) => !(error instanceof ApiError && error.status === 404) && count < 3,
    queryFn: async ({ signal }) =>
      unwrap(
        await client.GET("/api/v1/machines/{machine_id}", { params: { path: { machine_id: machineId } }, signal }),
      ),
  });

/** A machine as it was at an instant: the newest snapshot at or before it, with a flat list of processes. The past does not change. */
export const snapshotAtQuery = (machineId: string, at: string) =>
  queryOptions({
    queryKey: ["machines", machineId, "at", at],
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000, // many are passed while scrubbing
    placeholderData: keepPreviousData,
    retry: retryServerErrors,
    queryFn: async ({ signal }) =>
      unwrap(
        await client.GET("/api/v1/machines/{machine_id}/at", {
          params: { path: { machine_id: machineId }, query: { time: at } },
          signal,
        }),
      ),
  });

/** Changes a machine's config, unless someone else has changed it since it was read. */
export function useUpdateMachine(machineId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ patch, version }: { patch: ConfigPatch; version: number }) =>
      unwrap(
        await client.PATCH("/api/v1/machines/{machine_id}", {
          params: { path: { machine_id: machineId }, header: { "If-Match": `"${version}"` } },
          body: patch,
        }),
      ),
    onSuccess: (machine) => queries.setQueryData(machineQuery(machineId).queryKey, machine),
    onError: () => queries.invalidateQueries({ queryKey: machineQuery(machineId).queryKey }),
  });
}

/** Forgets a machine and its history. */
export function useDeleteMachine(machineId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      const answer = await client.DELETE("/api/v1/machines/{machine_id}", {
        params: { path: { machine_id: machineId } },
      });
      if (!answer.response.ok) {
        throw new ApiError(answer.response.status, answer.error ?? {});
      }
    },
    onSuccess: () => {
      queries.removeQueries({ queryKey: machineQuery(machineId).queryKey });
      return queries.invalidateQueries({ queryKey: machinesQuery.queryKey, exact: true });
    },
  });
}
