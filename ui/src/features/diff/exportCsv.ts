import type { MachineDiff } from "../../api/client";
import { csv } from "../../export";
import { type Change, type ChangeKind, type Differences, identityChanges, newestOf } from "../../processes/diff";
import type { ExitStatus } from "../../processes/exitStatus";
import { keyOf } from "../../processes/process";

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
  "read_bytes",
  "write_bytes",
  "identity_change",
  "exit_code",
  "exit_signal",
];

type Usage = MachineDiff["passed"][number];

/** Returns a comparison as a CSV file. cpuMs holds the CPU time in between by process key. */
export function diffCsv(
  differences: Differences,
  between: MachineDiff | undefined,
  cpuMs: ReadonlyMap<string, number | null>,
): Blob {
  const { started = [], ended = [], passed = [], grew = [], shrank = [], active = [] } = between ?? {};
  const io = new Map(
    [started, ended, grew, shrank, active].flat().map((p) => [keyOf(p), [p.read_bytes, p.write_bytes]]),
  );
  const exits = new Map(ended.map((p) => [keyOf(p), p]));
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
        ...(io.get(keyOf(p)) ?? [null, null]),
        kind === "changed" ? describeIdentityChange(change) : null,
        ...(kind === "ended" ? exitOf(exits.get(keyOf(p))) : [null, null]),
      ];
    }),
  );
  const usage = (kind: string, list: readonly Usage[]) =>
    list.map((p) => [
      kind,
      p.pid,
      p.name,
      p.command_line,
      p.user,
      null,
      null,
      null,
      null,
      p.cpu_ms,
      p.read_bytes,
      p.write_bytes,
      null,
      ...exitOf(p),
    ]);
  return csv(header, [...changed, ...usage("passed", passed), ...usage("used", [...grew, ...active])]);
}

const exitOf = (status: ExitStatus = {}) => [status.exit_code, status.exit_signal];

const describeIdentityChange = (change: Change) =>
  identityChanges(change)
    .map(({ title, before, after }) => `${title}: ${before} → ${after}`)
    .join("; ");
