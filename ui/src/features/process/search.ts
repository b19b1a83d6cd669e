import { type RangeSearch, parseInstant, parseRange } from "../../time/range";

/** The URL parameters of a process's page. A pid can be reused: its start time identifies the process. */
export interface ProcessSearch extends RangeSearch {
  started?: string | undefined;
  at?: string | undefined;
}

export function processSearch(search: Record<string, unknown>): ProcessSearch {
  return { started: parseInstant(search.started), at: parseInstant(search.at), ...parseRange(search) };
}

/** The URL parameters of the link to a process's latest snapshot: at is the time of its latest sample. */
export type LatestSnapshotSearch = Pick<ProcessSearch, "started" | "at">;

export function latestSnapshotSearch(search: Record<string, unknown>): LatestSnapshotSearch {
  return { started: parseInstant(search.started), at: parseInstant(search.at) };
}
