import { parseText } from "../../searchParams";
import { type RangeSearch, parseRange } from "../../time/range";

/** The URL parameters of the page of a process name. Unlike on other pages, the default range is a day. */
export function nameSearch(search: Record<string, unknown>): RangeSearch {
  return search.span === "1h" ? { span: "1h", from: undefined, to: undefined } : parseRange(search);
}

export const findSearch = (search: Record<string, unknown>): { q?: string | undefined } => ({
  q: parseText(search.q),
});
