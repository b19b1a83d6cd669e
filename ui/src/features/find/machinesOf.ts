import type { ProcessMatches } from "../../api/client";

type Found = Pick<ProcessMatches, "from" | "next_cursor"> & {
  results: { machine_id: string; usages?: { latest_sample: string }[] }[];
};

/**
 * Returns the machines on which processes ran in a range; none if there are more than on one page. A process without a
 * sample after the start of the range ended there: charts have no data of it.
 */
export function machinesOf(found: Found | undefined): string[] {
  if (!found || found.next_cursor) return [];
  const from = Date.parse(found.from);
  return found.results
    .filter(({ usages = [] }) => usages.some((usage) => Date.parse(usage.latest_sample) > from))
    .map((match) => match.machine_id);
}
