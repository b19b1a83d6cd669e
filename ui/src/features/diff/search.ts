import type { Measure } from "../../processes/diff";
import { parseInstant } from "../../time/range";

/** The URL parameters of a comparison: its two instants, in RFC 3339 format, and the measure. */
export interface DiffSearch {
  from: string;
  to: string;
  by?: Measure | undefined;
}

/** Puts the two instants in order. The default is the last ten minutes. */
export function diffSearch(search: Record<string, unknown>): DiffSearch {
  const to = parseInstant(search.to) ?? new Date().toISOString();
  const from = parseInstant(search.from) ?? new Date(Date.parse(to) - 600_000).toISOString();
  return {
    ...(from <= to ? { from, to } : { from: to, to: from }),
    by: search.by === "threads" ? "threads" : undefined,
  };
}
