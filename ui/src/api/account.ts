// The current user: sign-in, the account, sessions and preferences.
import { type QueryClient, hashKey, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type CurrentUser, type Preferences, client, throwOnError, unwrap } from "./client";

/** Returns the signed-in user; null if nobody is signed in. */
export const currentUserQuery = queryOptions({
  queryKey: ["self"],
  staleTime: 60_000,
  refetchOnWindowFocus: true,
  queryFn: async ({ signal }): Promise<CurrentUser | null> => {
    const answer = await client.GET("/api/v1/me", { signal });
    return answer.response.status === 401 ? null : unwrap(answer);
  },
  // A server that does not answer does not end the session.
  refetchInterval: ({ state }) => (state.status === "error" ? 3_000 : false),
});

/** Reports whether the signed-in user is an administrator. */
export function useIsAdmin(): boolean {
  return useQuery(currentUserQuery).data?.role === "admin";
}

/** Returns how users can sign in to this server. */
export const signInMethodsQuery = queryOptions({
  queryKey: ["methods"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/auth/methods", { signal })),
});

/** Lists the sessions of the current user. */
export const sessionsQuery = queryOptions({
  queryKey: ["self", "sessions"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/me/sessions", { signal })).results,
});

/** Sets the signed-in user and removes all other cached data, which belongs to another session. */
function switchUser(queries: QueryClient, user: CurrentUser | null): void {
  queries.setQueryData(currentUserQuery.queryKey, user);
  const kept = hashKey(currentUserQuery.queryKey);
  queries.removeQueries({ predicate: ({ queryHash }) => queryHash !== kept });
}

/** Starts a session. */
function useStartSession<T>(start: (input: T) => Promise<CurrentUser>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: start,
    onSuccess: (user) => switchUser(queries, user),
  });
}

export const useSignIn = () =>
  useStartSession(async (body: { name: string; password: string; code?: string }) =>
    unwrap(await client.POST("/api/v1/auth/login", { body })),
  );

export const useSetup = () =>
  useStartSession(async (body: { secret: string; name: string; password: string }) =>
    unwrap(await client.POST("/api/v1/auth/setup", { body })),
  );

/** Ends the session. */
export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async () => throwOnError(await client.POST("/api/v1/auth/logout")),
    onSettled: () => switchUser(queries, null),
  });
}

/** Changes the account of the current user, then reloads it. */
function useUpdateAccount<T>(update: (input: T) => Promise<void>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: update,
    onSuccess: () => queries.invalidateQueries({ queryKey: currentUserQuery.queryKey }),
  });
}

export const useChangePassword = () =>
  useUpdateAccount(async (body: { password: string; new_password: string }) =>
    throwOnError(await client.POST("/api/v1/me/password", { body })),
  );

/** Creates the secret of an authenticator app. It has no effect before useConfirmTotp. */
export const useStartTotp = () => useMutation({ mutationFn: async () => unwrap(await client.POST("/api/v1/me/totp")) });

export const useConfirmTotp = () =>
  useUpdateAccount(async (body: { password: string; secret: string; code: string }) =>
    throwOnError(await client.POST("/api/v1/me/totp/confirm", { body })),
  );

export const useDisableTotp = () =>
  useUpdateAccount(async (body: { password: string }) =>
    throwOnError(await client.POST("/api/v1/me/totp/remove", { body })),
  );

export const useEndSession = () =>
  useUpdateAccount(async (id: number) =>
    throwOnError(await client.DELETE("/api/v1/me/sessions/{session_id}", { params: { path: { session_id: id } } })),
  );

/** Returns the display preferences of the user; an empty object for a token. */
export const preferencesQuery = queryOptions({
  queryKey: ["self", "preferences"],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: async ({ signal }): Promise<Preferences> => {
    const answer = await client.GET("/api/v1/me/preferences", { signal });
    return answer.response.status === 404 ? {} : unwrap(answer);
  },
});

/** Stores the display preferences. The page uses them at once. */
export function useSetPreferences() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (body: Preferences) => throwOnError(await client.PUT("/api/v1/me/preferences", { body })),
    onMutate: (body) => queries.setQueryData(preferencesQuery.queryKey, body),
    onError: () => queries.invalidateQueries({ queryKey: preferencesQuery.queryKey }),
  });
}
