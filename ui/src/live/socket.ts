// A WebSocket to /api/v1/live that watches one machine and comes back by itself.
import type { LiveMessage, LiveRequest, MachineMetrics, ProcessNode } from "../api/client";

export interface LiveSnapshot {
  timestamp: string;
  metrics: MachineMetrics;
  tree: ProcessNode[];
}

export type LiveStatus = "connecting" | "live" | "lost" | "unknown" | "ended";

/** Why the server closed a socket: it tells whether to come back. */
const closeEnded = 4401;
const closeGrant = 4403;

export interface LiveHandlers {
  snapshot(snapshot: LiveSnapshot): void;
  /** unknown: there is no such machine, or it may not be seen (any more). ended: the session has ended. */
  status(status: LiveStatus): void;
}

const firstWait = 500;
const longestWait = 10_000;

/** How long to wait before the next attempt: doubled each time, with jitter. */
export function backoff(attempt: number, random = Math.random()): number {
  const wait = Math.min(longestWait, firstWait * 2 ** attempt);
  return wait / 2 + (wait / 2) * random;
}

/** Watches a machine until the returned function is called. */
export function watch(machineId: string, handlers: LiveHandlers): () => void {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempt = 0;
  let over = false;
  let since: string | undefined;

  const connect = () => {
    clearTimeout(timer);
    handlers.status("connecting");
    const url = new URL("/api/v1/live", window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    socket = new WebSocket(url);
    socket.onopen = () => {
      const request: LiveRequest = { action: "subscribe", machine_id: machineId, ...(since && { since }) };
      socket?.send(JSON.stringify(request));
    };
    socket.onmessage = (event) => receive(JSON.parse(event.data as string) as LiveMessage);
    socket.onclose = ({ code }) => {
      if (over) return;
      if (code === closeEnded || code === closeGrant) {
        over = true;
        handlers.status(code === closeEnded ? "ended" : "unknown");
        return;
      }
      handlers.status("lost");
      timer = setTimeout(connect, backoff(attempt++));
    };
  };

  const receive = ({ type, message }: LiveMessage) => {
    switch (type) {
      case "subscribed":
        attempt = 0;
        handlers.status("live");
        break;
      case "snapshot_message":
        if (!message.timestamp || !message.machine_snapshot) break;
        since = message.timestamp;
        handlers.snapshot({ timestamp: message.timestamp, metrics: message.machine_snapshot, tree: message.process_tree ?? [] });
        break;
      case "error":
        if (message.code === "unknown_machine") {
          over = true;
          socket?.close();
          handlers.status("unknown");
        }
    }
  };

  // A laptop that wakes up should not wait for the rest of a back-off.
  const comeBack = () => {
    if (!over && socket?.readyState === WebSocket.CLOSED) {
      attempt = 0;
      connect();
    }
  };
  window.addEventListener("online", comeBack);
  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    window.removeEventListener("online", comeBack);
    socket?.close();
  };
}
