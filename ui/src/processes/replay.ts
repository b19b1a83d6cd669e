// Holds the process list of a machine and moves it forward, change by change: what
// snapshot/replay.go does on the server, tested with the same cases.
import type { ProcessKey, ProcessSample } from "../api/client";
import { type Process, byPid, keyOf } from "./process";

/** A snapshot as it is posted or sent live: every process, or what has changed. */
export interface Step {
  kind?: "full" | "changes" | undefined;
  interval_ms?: number | undefined;
  processes?: ProcessSample[] | undefined;
  exited?: ProcessKey[] | undefined;
}

export class Replay {
  private list = new Map<string, Process>();

  /** Moves the list to the next instant; false if the step speaks of a process that is not known here, and then nothing has changed. */
  apply(step: Step): boolean {
    const interval = step.interval_ms ?? 0;
    if (step.kind === "changes") {
      if (!this.knows(step)) return false;
      // What is not mentioned has spent nothing. Lists that were handed out stay as they were.
      for (const [key, process] of this.list) if (spends(process)) this.list.set(key, carry(process, interval));
    } else {
      this.list = new Map();
    }
    for (const key of step.exited ?? []) this.list.delete(keyOf(key));
    for (const sample of step.processes ?? []) {
      const key = keyOf(sample);
      if (sample.state === ended) {
        this.list.delete(key);
        continue;
      }
      this.list.set(key, take(sample, this.list.get(key), interval));
    }
    return true;
  }

  /** The list by pid; later steps do not change it. */
  processes(): Process[] {
    return [...this.list.values()].sort(byPid);
  }

  private knows(step: Step): boolean {
    return (
      (step.exited ?? []).every((key) => this.list.has(keyOf(key))) &&
      (step.processes ?? []).every((sample) => sample.ppid !== undefined || this.list.has(keyOf(sample)))
    );
  }
}

/** The state of a process that ended in the interval: it is in no list. */
const ended = "X";

/** Whether a sample of a process's history says that it is gone. */
export const hasExited = (state: string | undefined): boolean => state === ended || state === "exited";

const spends = (p: Process) => p.cpu_ms || p.read_bytes || p.write_bytes || p.cpu_usage;
const zeroed = (n: number | null) => (n === null ? null : 0);

function carry(p: Process, interval: number): Process {
  const cpu_ms = zeroed(p.cpu_ms);
  return {
    ...p,
    cpu_ms,
    cpu_usage: usage(cpu_ms, interval),
    read_bytes: zeroed(p.read_bytes),
    write_bytes: zeroed(p.write_bytes),
  };
}

/** Percent of one core, to two decimals. */
function usage(cpuMs: number | null, interval: number): number | null {
  return cpuMs === null || interval <= 0 ? null : Math.round((cpuMs * 10_000) / interval) / 100;
}

const withCgroup = (cgroup: string | undefined) => (cgroup ? { cgroup } : {});

function take(s: ProcessSample, before: Process | undefined, interval: number): Process {
  const given = s.ppid !== undefined;
  const cpu_ms =
    s.cpu_ms ?? (s.cpu_usage !== undefined && interval > 0 ? Math.round((s.cpu_usage * interval) / 100) : null);
  return {
    pid: s.pid,
    ...(s.started_at !== undefined && { started_at: s.started_at }),
    ppid: s.ppid ?? before?.ppid ?? 0,
    name: (given ? s.name : before?.name) ?? "",
    command_line: (given ? s.command_line : before?.command_line) ?? "",
    user: (given ? s.user : before?.user) ?? "",
    ...withCgroup(given ? s.cgroup : before?.cgroup),
    ...(s.state !== undefined && { state: s.state }),
    cpu_ms,
    cpu_usage: usage(cpu_ms, interval),
    memory_usage: s.memory_usage ?? null,
    threads: s.threads ?? null,
    ...(s.open_files !== undefined && { open_files: s.open_files }),
    read_bytes: s.read_bytes ?? null,
    write_bytes: s.write_bytes ?? null,
  };
}
