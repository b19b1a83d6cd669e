import { queryOptions } from "@tanstack/react-query";
import { client, type Problem } from "./client";

/** What is wrong with the server, for people. */
export interface ServerHealth {
  /** Why the server cannot do its work. */
  failures: string[];
  /** What needs attention, while the server does its work. */
  warnings: string[];
}

const healthy: ServerHealth = { failures: [], warnings: [] };

/** Returns what a problem response says about the server. */
export function failuresOf(problem: Partial<Problem>): string[] {
  const errors = problem.errors ?? [];
  if (errors.length > 0) return errors.map(({ field, message }) => `${field}: ${message}`);
  return [problem.detail ?? "The server is not ready."];
}

/** Checks regularly what is wrong with the server; more often while something is. */
export const serverHealthQuery = queryOptions({
  queryKey: ["server health"],
  retry: false,
  queryFn: async ({ signal }): Promise<ServerHealth> => {
    const { data, error } = await client.GET("/readyz", { signal });
    if (error) return { ...healthy, failures: failuresOf(error) };
    const warnings = data.checks.filter(({ ok }) => !ok).map(({ name, reason }) => `${name}: ${reason ?? ""}`);
    return { ...healthy, warnings };
  },
  refetchInterval: ({ state }) => ((state.data?.failures.length ?? 0) > 0 ? 3_000 : 15_000),
});
