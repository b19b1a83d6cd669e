import { csv } from "../../export";
import { type ChangeKind, type Differences, newestOf } from "../../processes/diff";
import { type Process, keyOf } from "../../processes/process";

const header = [
  "change",
  "pid",
  "name",
  "command_line",
  "user",
  "memory_before",
  "memory_after",
  "threads_before",
  "threads_after",
  "cpu_ms",
];

type ShortLived = Pick<Process, "pid" | "name" | "command_line" | "user" | "cpu_ms">;

/** Returns a comparison as a CSV file. cpuMs holds the CPU time in between by process key. */
export function diffCsv(
  differences: Differences,
  shortLived: readonly ShortLived[],
  cpuMs: ReadonlyMap<string, number | null>,
): Blob {
  const changed = (Object.keys(differences) as ChangeKind[]).flatMap((kind) =>
    differences[kind].map((change) => {
      const { before, after } = change;
      const p = newestOf(change);
      return [
        kind,
        p.pid,
        p.name,
        p.command_line,
        p.user,
        before?.memory_usage,
        after?.memory_usage,
        before?.threads,
        after?.threads,
        cpuMs.get(keyOf(p)),
      ];
    }),
  );
  const passed = shortLived.map((p) => [
    "passed",
    p.pid,
    p.name,
    p.command_line,
    p.user,
    null,
    null,
    null,
    null,
    p.cpu_ms,
  ]);
  return csv(header, [...changed, ...passed]);
}
