import type { Machine } from "../../api/client";
import type { LiveStatus } from "../../live/socket";

/** The state of the live view. It is not live while the machine does not report. */
export function LiveBadge({ status, machine }: { status: LiveStatus; machine: Machine | undefined }) {
  const reporting = !machine || (machine.status === "up" && machine.enabled && !machine.outdated);
  if (status === "live") {
    return reporting ? <Badge color="up">Live</Badge> : <Badge color="off">Connected</Badge>;
  }
  if (status === "lost") return <Badge color="stale">Connection lost. Reconnecting…</Badge>;
  return <Badge color="off">{status === "connecting" ? "Connecting…" : "Disconnected"}</Badge>;
}

function Badge({ color, children }: { color: string; children: string }) {
  return (
    <span className={`badge ${color}`} role="status">
      {children}
    </span>
  );
}
