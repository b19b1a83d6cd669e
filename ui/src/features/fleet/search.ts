import { parseFlag, parseOption, parseText, parseTexts } from "../../searchParams";
import { type FleetSortKey, type Status, fleetSortKeys, statuses } from "./filterMachines";

/** The URL parameters of the list of machines: its filters and its order. */
export interface FleetSearch {
  q?: string | undefined;
  tag?: string[] | undefined;
  status?: Status | undefined;
  sort?: FleetSortKey | undefined;
  desc?: boolean | undefined;
}

export function fleetSearch(search: Record<string, unknown>): FleetSearch {
  return {
    q: parseText(search.q),
    tag: parseTexts(search.tag),
    status: parseOption(search.status, statuses),
    sort: parseOption(search.sort, fleetSortKeys),
    desc: parseFlag(search.desc),
  };
}
