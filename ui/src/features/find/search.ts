import { parseExitFilter } from "../../processes/exitStatus";
import { parseText } from "../../searchParams";
import { type RangeSearch, parseRange } from "../../time/range";

/** The URL parameters of the page of a process name. Unlike on other pages, the default range is a day. */
export function nameSearch(search: Record<string, unknown>): RangeSearch {
  return search.span === "1h" ? { span: "1h", from: undefined, to: undefined } : parseRange(search);
}

/** The URL parameters of a search: its text, and a filter of how the processes ended. */
export interface FindSearch {
  q?: string | undefined;
  exit?: string | undefined;
}

export const findSearch = (search: Record<string, unknown>): FindSearch => ({
  q: parseText(search.q),
  exit: parseExitFilter(parseText(search.exit) ?? ""),
});
