import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type Preferences, type CurrentUser, check, client, unwrap } from "./client";

/** Who is logged in; null for nobody. */
export const currentUserQuery = queryOptions({
  queryKey: ["self"],
  staleTime: 60_000,
  refetchOnWindowFocus: true,
  queryFn: async ({ signal }): Promise<CurrentUser | null> => {
    const answer = await client.GET("/api/v1/me", { signal });
    return answer.response.status === 401 ? null : unwrap(answer);
  },
});

/** Whether who is logged in may administer. */
export function useIsAdmin(): boolean {
  return useQuery(currentUserQuery).data?.role === "admin";
}

/** How to log in here. */
export const signInMethodsQuery = queryOptions({
  queryKey: ["methods"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/auth/methods", { signal })),
});

/** One's sessions. */
export const sessionsQuery = queryOptions({
  queryKey: ["self", "sessions"],
  queryFn: async ({ signal }) => unwrap(await client.GET("/api/v1/me/sessions", { signal })).results,
});

/** Begins a session, and makes everything be asked for anew: as somebody else. */
function useStartSession<T>(begin: (input: T) => Promise<CurrentUser>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: begin,
    onSuccess: (self) => {
      queries.clear();
      queries.setQueryData(currentUserQuery.queryKey, self);
    },
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

/** Ends the session. What was shown is forgotten. */
export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async () => check(await client.POST("/api/v1/auth/logout")),
    onSettled: () => {
      queries.clear();
      queries.setQueryData(currentUserQuery.queryKey, null);
    },
  });
}

/** Changes something about one's own account, which is then read anew. */
function useUpdateAccount<T>(change: (input: T) => Promise<void>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: () => queries.invalidateQueries({ queryKey: currentUserQuery.queryKey }),
  });
}

export const useChangePassword = () =>
  useUpdateAccount(async (body: { password: string; new_password: string }) =>
    check(await client.POST("/api/v1/me/password", { body })),
  );

export const useStartTotp = () => useMutation({ mutationFn: async () => unwrap(await client.POST("/api/v1/me/totp")) });

export const useConfirmTotp = () =>
  useUpdateAccount(async (body: { password: string; secret: string; code: string }) =>
    check(await client.POST("/api/v1/me/totp/confirm", { body })),
  );

export const useDisableTotp = () =>
  useUpdateAccount(async (body: { password: string }) => check(await client.POST("/api/v1/me/totp/remove", { body })));

export const useEndSession = () =>
  useUpdateAccount(async (id: number) =>
    check(await client.DELETE("/api/v1/me/sessions/{session_id}", { params: { path: { session_id: id } } })),
  );

/** How one likes to see processes; nothing for a token. */
export const preferencesQuery = queryOptions({
  queryKey: ["self", "preferences"],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: async ({ signal }): Promise<Preferences> => {
    const answer = await client.GET("/api/v1/me/preferences", { signal });
    return answer.response.status === 404 ? {} : unwrap(answer);
  },
});

/** Keeps a part of them, and shows it at once. */
export function useSetPreferences() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (body: Preferences) => check(await client.PUT("/api/v1/me/preferences", { body })),
    onMutate: (body) => queries.setQueryData(preferencesQuery.queryKey, body),
    onError: () => queries.invalidateQueries({ queryKey: preferencesQuery.queryKey }),
  });
}
