import type { MachineDiff } from "../../api/client";
import { bytes, cpuTime, dateTime } from "../../format";

type Between = Pick<MachineDiff, "short_lived" | "short_lived_from" | "passed" | "totals">;

/** The maximum length of a list: the default limit of the API. */
const shortLivedLimit = 1000;

/**
 * Says what the processes used that started and ended between two snapshots, and which of them are not listed; undefined
 * if there are none.
 */
export function shortLivedText(between: Between): string | undefined {
  const { short_lived: sum, short_lived_from: from, passed, totals } = between;
  if (sum.processes === 0) return undefined;
  const isOne = sum.processes === 1;
  const sentences = [
    `${isOne ? "1 process" : `${sum.processes.toLocaleString()} processes`} started and ended between two snapshots.`,
    usageOf(sum, isOne ? "It" : "Together, they"),
    unknownOf(sum),
  ];
  if (from !== undefined) sentences.push(`Those before ${dateTime(from)} have expired and are only in these sums.`);
  if (totals.passed > passed.length && (from === undefined || passed.length >= shortLivedLimit))
    sentences.push(
      `${from === undefined ? "The" : "Of the others, the"} list has the ${passed.length.toLocaleString()} with the most` +
        " CPU time.",
    );
  return sentences.filter((one) => one !== undefined).join(" ");
}

type Sum = MachineDiff["short_lived"];

function usageOf({ cpu_ms, read_bytes, write_bytes }: Sum, subject: string): string | undefined {
  const known = [
    cpu_ms !== null && `used ${cpuTime(cpu_ms)} of CPU time`,
    read_bytes !== null && `read ${bytes(read_bytes)}`,
    write_bytes !== null && `wrote ${bytes(write_bytes)}`,
  ].filter((one) => one !== false);
  const last = known.pop();
  return last && `${subject} ${known.length > 0 ? `${known.join(", ")} and ${last}` : last}.`;
}

function unknownOf({ processes, unknown_cpu_processes: cpu = 0, unknown_io_processes: io = 0 }: Sum) {
  const all = processes === 1 ? "it" : "all of them";
  const countOf = (n: number) => (n === processes ? all : `${n.toLocaleString()} of them`);
  if (cpu === 0 && io === 0) return undefined;
  if (io === 0) return `CPU time is unknown for ${countOf(cpu)}.`;
  if (cpu === 0) return `I/O is unknown for ${countOf(io)}.`;
  return cpu === io
    ? `CPU time and I/O are unknown for ${countOf(cpu)}.`
    : `CPU time is unknown for ${countOf(cpu)}, and I/O for ${countOf(io)}.`;
}
