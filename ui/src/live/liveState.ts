// The state of a machine in the live view. Changes are applied to the last state. After a gap, the
// whole state must be requested again.
import type { EndedProcesses, LiveContent, MachineMetrics, Process } from "../api/client";
import { Replay } from "../processes/replay";

export interface LiveSnapshot {
  timestamp: string;
  intervalMs: number;
  metrics: MachineMetrics;
  processes: Process[];
  /** The processes that ended in the interval; undefined if the server does not say. */
  ended?: EndedProcesses | undefined;
}

export class LiveState {
  private readonly replay = new Replay();
  private metrics: MachineMetrics = {};
  private intervalMs = 0;
  private ended: EndedProcesses | undefined;

  /** The instant of the state; undefined before the first message. */
  at: string | undefined;

  /**
   * Applies a message. Returns "applied" if the state changed, "outdated" if the message is not newer
   * than the state, and "gap" if the whole state must be requested.
   */
  apply(message: LiveContent): "applied" | "outdated" | "gap" {
    const { timestamp, kind, previous, machine_snapshot, interval_ms, processes, exited, ended } = message;
    if (!timestamp || (this.at !== undefined && timestamp <= this.at)) return "outdated";
    if (kind === "changes" && previous !== this.at) return "gap";
    if (!this.replay.apply({ kind, interval_ms, processes, exited })) return "gap";
    this.at = timestamp;
    this.metrics = machine_snapshot ?? {};
    this.intervalMs = interval_ms ?? 0;
    this.ended = ended;
    return "applied";
  }

  /** Returns the current state; undefined before the first message. */
  snapshot(): LiveSnapshot | undefined {
    if (this.at === undefined) return undefined;
    return {
      timestamp: this.at,
      intervalMs: this.intervalMs,
      metrics: this.metrics,
      processes: this.replay.processes(),
      ended: this.ended,
    };
  }
}
