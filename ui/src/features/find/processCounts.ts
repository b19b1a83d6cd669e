// Counts the processes of search results.
import type { FoundProcess, ProcessMatch, Usage } from "../../api/client";

/** Returns the matching processes of a machine, at an instant or in a window. */
export const processesOf = (match: ProcessMatch): (FoundProcess | Usage)[] => match.processes ?? match.usages ?? [];

/** The maximum number of processes of a machine that started and ended between two snapshots. */
const shortLivedLimit = 1000;

/**
 * Returns how many processes of each machine match, in words. If the list was cut, processes of the machines with the
 * most are missing, or short-lived processes of any machine with so many, so their numbers are lower bounds.
 */
export function processCounts(answer: { results: readonly ProcessMatch[]; truncated: boolean }): string[] {
  const counts = answer.results.map((match) => processesOf(match).length);
  const most = Math.max(...counts);
  return counts.map((count) => {
    // The longest lists are cut to the same length.
    const isBound = answer.truncated && (count === most || count >= shortLivedLimit);
    return `${isBound ? "≥\u00a0" : ""}${count.toLocaleString()} ${count === 1 && !isBound ? "process" : "processes"}`;
  });
}
