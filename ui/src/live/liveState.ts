// Makes of the live view's messages the machine's state: changes are applied to the
// last state, and where they do not continue it, all is asked for anew.
import type { LiveContent, MachineMetrics, Process } from "../api/client";
import { Replay } from "../processes/replay";

export interface LiveSnapshot {
  timestamp: string;
  intervalMs: number;
  metrics: MachineMetrics;
  processes: Process[];
}

export class LiveState {
  private readonly replay = new Replay();
  private metrics: MachineMetrics = {};
  private intervalMs = 0;

  /** The instant of the state, undefined before the first. */
  at: string | undefined;

  /** Takes in a message: whether there is something new to show, or the whole state has to be asked for. */
  take(message: LiveContent): "new" | "old" | "lost" {
    const { timestamp, kind, previous, machine_snapshot } = message;
    if (!timestamp || (this.at !== undefined && timestamp <= this.at)) return "old";
    if (kind === "changes" && previous !== this.at) return "lost";
    if (
      !this.replay.apply({
        kind,
        interval_ms: message.interval_ms,
        processes: message.processes,
        exited: message.exited,
      })
    )
      return "lost";
    this.at = timestamp;
    this.metrics = machine_snapshot ?? {};
    this.intervalMs = message.interval_ms ?? 0;
    return "new";
  }

  /** The state, as it is by now; undefined before the first. */
  snapshot(): LiveSnapshot | undefined {
    return this.at === undefined
      ? undefined
      : { timestamp: this.at, intervalMs: this.intervalMs, metrics: this.metrics, processes: this.replay.processes() };
  }
}
