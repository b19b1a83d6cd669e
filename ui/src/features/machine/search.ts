import { type SortKey, sortKeys } from "../../processes/rows";
import { parseFlag, parseOption, parsePositive, parseText, parseTexts } from "../../searchParams";
import { type RangeSearch, parseInstant, parseRange } from "../../time/range";

/** The URL parameters of a machine's page: the time range, the instant, and how the processes are shown. */
export interface MachineSearch extends RangeSearch {
  sort?: SortKey | undefined;
  desc?: boolean | undefined;
  filter?: string | undefined;
  user?: string | undefined;
  /** Minimum CPU usage, in percent. */
  cpu?: number | undefined;
  /** Minimum memory usage, in MiB. */
  mem?: number | undefined;
  include?: string[] | undefined;
  exclude?: string[] | undefined;
  flat?: boolean | undefined;
  /** The instant to show, in RFC 3339 format; undefined for the live view. */
  at?: string | undefined;
}

export function machineSearch(search: Record<string, unknown>): MachineSearch {
  return {
    sort: parseOption(search.sort, sortKeys),
    desc: parseFlag(search.desc),
    filter: parseText(search.filter),
    user: parseText(search.user),
    cpu: parsePositive(search.cpu),
    mem: parsePositive(search.mem),
    include: parseTexts(search.include),
    exclude: parseTexts(search.exclude),
    flat: parseFlag(search.flat),
    at: parseInstant(search.at),
    ...parseRange(search),
  };
}
