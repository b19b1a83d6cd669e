import { infiniteQueryOptions, queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import {
  type NewKey,
  type NewToken,
  type NewUser,
  type Retention,
  type UserPatch,
  check,
  client,
  unwrap,
} from "./client";

export const usersQuery = queryOptions({
  queryKey: ["users"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/users", { signal })).results,
});

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/enrolment-keys", { signal })).results,
});

export const tokensQuery = infiniteQueryOptions({
  queryKey: ["tokens"],
  initialPageParam: "",
  queryFn: async ({ signal, pageParam }) =>
    unwrap(
      await client.GET("/api/v1/tokens", {
        params: { query: { limit: 100, ...(pageParam && { cursor: pageParam }) } },
        signal,
      }),
    ),
  getNextPageParam: (page) => page.next_cursor ?? undefined,
});

/** What was done, the newest first; of one target if it is given. */
export const auditQuery = (target: string) =>
  infiniteQueryOptions({
    queryKey: ["audit", target],
    initialPageParam: "",
    queryFn: async ({ signal, pageParam }) =>
      unwrap(
        await client.GET("/api/v1/audit", {
          params: { query: { limit: 50, ...(target && { target }), ...(pageParam && { cursor: pageParam }) } },
          signal,
        }),
      ),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });

/** What everything takes on disk. */
export const storageQuery = queryOptions({
  queryKey: ["storage"],
  refetchInterval: 30_000,
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/storage", { signal })),
});

/** For how long what is kept. */
export const retentionQuery = queryOptions({
  queryKey: ["storage", "retention"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/storage/retention", { signal })),
});

/** Changes something that lists show, and reads those again. */
function useChange<T, R>(key: string, change: (input: T) => Promise<R>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSettled: async () => {
      await queries.invalidateQueries({ queryKey: [key] });
      await queries.invalidateQueries({ queryKey: ["audit"] });
    },
  });
}

export const useAddUser = () =>
  useChange("users", async (body: NewUser) => unwrap(await client.POST("/api/v1/users", { body })));
export const useChangeUser = () =>
  useChange("users", async ({ name, patch }: { name: string; patch: UserPatch }) =>
    unwrap(await client.PATCH("/api/v1/users/{name}", { params: { path: { name } }, body: patch })),
  );
export const useDeleteUser = () =>
  useChange("users", async (name: string) =>
    check(await client.DELETE("/api/v1/users/{name}", { params: { path: { name } } })),
  );
export const useAddKey = () =>
  useChange("keys", async (body: NewKey) => unwrap(await client.POST("/api/v1/enrolment-keys", { body })));
export const useRevokeKey = () =>
  useChange("keys", async (id: number) =>
    check(await client.DELETE("/api/v1/enrolment-keys/{key_id}", { params: { path: { key_id: id } } })),
  );
export const useAddToken = () =>
  useChange("tokens", async (body: NewToken) => unwrap(await client.POST("/api/v1/tokens", { body })));
export const useRevokeToken = () =>
  useChange("tokens", async (id: number) =>
    check(await client.DELETE("/api/v1/tokens/{token_id}", { params: { path: { token_id: id } } })),
  );
export const useSetRetention = () =>
  useChange("storage", async (body: Partial<Retention>) =>
    unwrap(await client.PATCH("/api/v1/storage/retention", { body })),
  );
