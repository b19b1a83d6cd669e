// How processes ended, in words, and the filters of it.

/** How a process ended. Both are absent if it is unknown, or if the process runs. */
export interface ExitStatus {
  exit_code?: number;
  exit_signal?: number;
}

/** The names of signals by number, as on Linux on x86, ARM and most other architectures; see snapshot/signals.go. */
const signalNames = (
  "- HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG " +
  "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");

/** Describes a signal: signal 9 (SIGKILL). Real-time signals have only a number. */
function signalText(signal: number): string {
  const name = signalNames[signal];
  return name === undefined ? `signal ${signal}` : `signal ${signal} (SIG${name})`;
}

/** Describes an exit status, such as exit code 1; undefined if it is unknown. */
export function exitText({ exit_code, exit_signal }: ExitStatus): string | undefined {
  if (exit_signal !== undefined) return signalText(exit_signal);
  return exit_code === undefined ? undefined : `exit code ${exit_code}`;
}

/** The filters of the API that can be chosen, with their labels. Others can be in an address. */
export const exitFilters: readonly (readonly [filter: string, label: string])[] = [
  ["ok", "Exit code 0"],
  ["failed", "Failed: other exit codes and signals"],
  ["signal", "Any signal"],
  ...[1, 2, 126, 127].map((code) => [`code:${code}`, `Exit code ${code}`] as const),
  ...[6, 9, 11, 15].map((signal) => [`signal:${signal}`, capitalize(signalText(signal))] as const),
];

/** Returns a filter as exitFilters has it, such as signal:9 for signal:KILL; undefined if it is invalid. */
export function parseExitFilter(text: string): string | undefined {
  if (["ok", "failed", "signal"].includes(text)) return text;
  const [, kind, value = ""] = /^(code|signal):(\w{1,10})$/.exec(text) ?? [];
  const number = /^\d+$/.test(value) ? Number(value) : undefined;
  if (kind === "code") return number !== undefined && number <= 255 ? `code:${number}` : undefined;
  if (kind !== "signal") return undefined;
  const signal = number ?? signalNames.indexOf(value.toUpperCase().replace(/^SIG/, ""));
  return signal >= 1 && signal <= 127 ? `signal:${signal}` : undefined;
}

/** Returns the label of a valid filter. */
export function exitFilterLabel(filter: string): string {
  const label = exitFilters.find(([one]) => one === filter)?.[1];
  if (label !== undefined) return label;
  const [kind, value] = filter.split(":");
  return kind === "code" ? `Exit code ${value ?? ""}` : capitalize(signalText(Number(value)));
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
