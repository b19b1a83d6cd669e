import type { QueryClient, QueryKey } from "@tanstack/react-query";

/**
 * Replaces the data of a query by what the server has just returned. A request of the query that is still under way was
 * sent before, so its result is ignored.
 */
export async function replaceQueryData(queries: QueryClient, queryKey: QueryKey, data: unknown): Promise<void> {
  await queries.cancelQueries({ queryKey, exact: true });
  queries.setQueryData(queryKey, data);
}
