// Applies snapshots to the process list of a machine, like snapshot/replay.go on the server.
// Both run the same test cases.
import type { ProcessKey, ProcessSample } from "../api/client";
import { type Process, byPid, keyOf } from "./process";

/** A snapshot with every process, or with the changes since the previous one. */
export interface Step {
  kind?: "full" | "changes" | undefined;
  interval_ms?: number | undefined;
  processes?: ProcessSample[] | undefined;
  exited?: ProcessKey[] | undefined;
}

export class Replay {
  private list = new Map<string, Process>();

  /** Applies a snapshot. Returns false, without any effect, if it changes a process that is not in the list. */
  apply(step: Step): boolean {
    const interval = step.interval_ms ?? 0;
    if (step.kind === "changes") {
      if (!this.canApply(step)) return false;
      // Processes that are not listed were idle. Objects are replaced, because returned lists must not change.
      for (const [key, process] of this.list) if (isActive(process)) this.list.set(key, toIdle(process, interval));
    } else {
      this.list = new Map();
    }
    for (const key of step.exited ?? []) this.list.delete(keyOf(key));
    for (const sample of step.processes ?? []) {
      const key = keyOf(sample);
      if (sample.state === exited) {
        this.list.delete(key);
        continue;
      }
      this.list.set(key, mergeSample(sample, this.list.get(key), interval));
    }
    return true;
  }

  /** Returns the processes by pid. Later snapshots do not change the returned list. */
  processes(): Process[] {
    return [...this.list.values()].sort(byPid);
  }

  private canApply(step: Step): boolean {
    return (
      (step.exited ?? []).every((key) => this.list.has(keyOf(key))) &&
      (step.processes ?? []).every((sample) => sample.ppid !== undefined || this.list.has(keyOf(sample)))
    );
  }
}

/** The state of a process that exited during the interval. It is not part of the list. */
const exited = "X";

/** Reports whether the state of a sample in a process's history means that the process has exited. */
export const hasExited = (state: string | undefined): boolean => state === exited || state === "exited";

interface Sample {
  state?: string | undefined;
  timestamp: string;
  interval_ms: number;
}

/**
 * Reports whether a process is in no snapshot because it started and ended between two of them. The samples are those of
 * its history from a time in milliseconds on.
 */
export function isShortLived(samples: readonly Sample[], startedAt: string | undefined, from: number): boolean {
  const [only] = samples;
  return (
    samples.length === 1 &&
    only !== undefined &&
    hasExited(only.state) &&
    startedAt !== undefined &&
    Date.parse(startedAt) >= Math.min(from, Date.parse(only.timestamp) - only.interval_ms)
  );
}

const isActive = (p: Process) =>
  Boolean(p.cpu_ms) || Boolean(p.read_bytes) || Boolean(p.write_bytes) || Boolean(p.cpu_usage);
const zeroUnlessNull = (n: number | null) => (n === null ? null : 0);

function toIdle(p: Process, interval: number): Process {
  const cpu_ms = zeroUnlessNull(p.cpu_ms);
  return {
    ...p,
    cpu_ms,
    cpu_usage: usage(cpu_ms, interval),
    read_bytes: zeroUnlessNull(p.read_bytes),
    write_bytes: zeroUnlessNull(p.write_bytes),
  };
}

/** Returns the CPU usage in percent of one core, to two decimals. */
function usage(cpuMs: number | null, interval: number): number | null {
  if (cpuMs === null || interval <= 0) return null;
  const micros = Math.round(cpuMs * 1000); // an integer, as on the server
  return Math.round((micros * 10) / interval) / 100;
}

const withCgroup = (cgroup: string | undefined) => (cgroup ? { cgroup } : {});

function mergeSample(s: ProcessSample, before: Process | undefined, interval: number): Process {
  const { ppid, name, command_line, user, cgroup, cpu_ms: cpuMs, cpu_usage: cpuUsage, ...values } = s;
  const given = ppid !== undefined;
  const cpu_ms = cpuMs ?? (cpuUsage !== undefined && interval > 0 ? Math.round(cpuUsage * interval * 10) / 1000 : null);
  return {
    memory_usage: null,
    threads: null,
    read_bytes: null,
    write_bytes: null,
    ...values,
    ppid: ppid ?? before?.ppid ?? 0,
    name: (given ? name : before?.name) ?? "",
    command_line: (given ? command_line : before?.command_line) ?? "",
    user: (given ? user : before?.user) ?? "",
    ...withCgroup(given ? cgroup : before?.cgroup),
    cpu_ms,
    cpu_usage: usage(cpu_ms, interval),
  };
}
