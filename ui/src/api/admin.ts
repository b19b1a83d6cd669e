// Queries and mutations of the administration page.
import { infiniteQueryOptions, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import {
  type NewKey,
  type NewToken,
  type NewUser,
  type Retention,
  type UserPatch,
  client,
  throwOnError,
  unwrap,
} from "./client";

export const usersQuery = queryOptions({
  queryKey: ["users"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/users", { signal })).results,
});

export const enrolmentKeysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/enrolment-keys", { signal })).results,
});

export const tokensQuery = infiniteQueryOptions({
  queryKey: ["tokens"],
  initialPageParam: "",
  queryFn: async ({ signal, pageParam }) => {
    const query = { limit: 100, ...(pageParam && { cursor: pageParam }) };
    return unwrap(await client.GET("/api/v1/tokens", { params: { query }, signal }));
  },
  getNextPageParam: (page) => page.next_cursor ?? undefined,
});

interface AuditFilter {
  /** The texts are whole values, or patterns with *. */
  actor: string | undefined;
  action: string | undefined;
  target: string | undefined;
  from: string | undefined;
  to: string | undefined;
}

/** Lists the audit log entries that match the filter, newest first. */
export const auditQuery = ({ actor, action, target, from, to }: AuditFilter) =>
  infiniteQueryOptions({
    queryKey: ["audit", actor, action, target, from, to],
    initialPageParam: "",
    queryFn: async ({ signal, pageParam }) => {
      const query = {
        limit: 50,
        ...(actor && { actor }),
        ...(action && { action }),
        ...(target && { target }),
        ...(from && { from }),
        ...(to && { to }),
        ...(pageParam && { cursor: pageParam }),
      };
      return unwrap(await client.GET("/api/v1/audit", { params: { query }, signal }));
    },
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });

/** Returns the disk usage of all stored data. */
export const storageQuery = queryOptions({
  queryKey: ["storage"],
  refetchInterval: 30_000,
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/storage", { signal })),
});

/** Returns how long each kind of data is kept. */
export const retentionQuery = queryOptions({
  queryKey: ["storage", "retention"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/storage/retention", { signal })),
});

/** Runs a mutation, then reloads the list with this query key and the audit log. */
function useListMutation<T, R>(key: string, mutate: (input: T) => Promise<R>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: mutate,
    onSettled: async () => {
      await queries.invalidateQueries({ queryKey: [key] });
      await queries.invalidateQueries({ queryKey: ["audit"] });
    },
  });
}

export const useAddUser = () =>
  useListMutation("users", async (body: NewUser) => unwrap(await client.POST("/api/v1/users", { body })));

export const useUpdateUser = () =>
  useListMutation("users", async ({ name, patch }: { name: string; patch: UserPatch }) =>
    unwrap(await client.PATCH("/api/v1/users/{name}", { params: { path: { name } }, body: patch })),
  );

export const useDeleteUser = () =>
  useListMutation("users", async (name: string) =>
    throwOnError(await client.DELETE("/api/v1/users/{name}", { params: { path: { name } } })),
  );

export const useAddEnrolmentKey = () =>
  useListMutation("keys", async (body: NewKey) => unwrap(await client.POST("/api/v1/enrolment-keys", { body })));

export const useRevokeEnrolmentKey = () =>
  useListMutation("keys", async (id: number) =>
    throwOnError(await client.DELETE("/api/v1/enrolment-keys/{key_id}", { params: { path: { key_id: id } } })),
  );

export const useAddToken = () =>
  useListMutation("tokens", async (body: NewToken) => unwrap(await client.POST("/api/v1/tokens", { body })));

export const useRevokeToken = () =>
  useListMutation("tokens", async (id: number) =>
    throwOnError(await client.DELETE("/api/v1/tokens/{token_id}", { params: { path: { token_id: id } } })),
  );

export const useSetRetention = () =>
  useListMutation("storage", async (body: Partial<Retention>) =>
    unwrap(await client.PATCH("/api/v1/storage/retention", { body })),
  );
