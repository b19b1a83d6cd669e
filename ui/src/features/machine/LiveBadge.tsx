import type { Machine } from "../../api/client";
import type { LiveStatus } from "../../live/socket";

/** The state of the live view. It is not live while the machine sends no snapshots. */
export function LiveBadge({ status, machine }: { status: LiveStatus; machine: Machine | undefined }) {
  if (status === "lost") return <Badge color="stale">Connection lost. Reconnecting…</Badge>;
  if (status !== "live") return <Badge color="off">{status === "connecting" ? "Connecting…" : "Disconnected"}</Badge>;
  if (machine?.status === "stale") return <Badge color="stale">Silent</Badge>;
  if (machine && !machine.enabled) return <Badge color="off">Disabled</Badge>;
  if (machine?.status === "waiting") return <Badge color="off">Waiting</Badge>;
  if (machine?.outdated) return <Badge color="stale">Outdated</Badge>;
  return <Badge color="up">Live</Badge>;
}

function Badge({ color, children }: { color: string; children: string }) {
  return (
    <span className={`badge ${color}`} role="status">
      {children}
    </span>
  );
}
