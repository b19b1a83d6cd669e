// A WebSocket to /api/v1/live that watches one machine and comes back by itself.
import type { LiveMessage, LiveRequest } from "../api/client";
import { LiveState, type LiveSnapshot } from "./liveState";

export type { LiveSnapshot };

export type LiveStatus = "connecting" | "live" | "lost" | "unknown" | "ended";

/** Why the server closed a socket: it tells whether to come back. */
const closeEnded = 4401;
const closeGrant = 4403;

export interface LiveHandlers {
  /** At most once per animation frame: the newest state. */
  snapshot: (snapshot: LiveSnapshot) => void;
  /** unknown: there is no such machine, or it may not be seen (any more). ended: the session has ended. */
  status: (status: LiveStatus) => void;
}

const firstWait = 500;
const longestWait = 10_000;

/** How long to wait before the next attempt: doubled each time, with jitter. */
export function backoff(attempt: number, random = Math.random()): number {
  const wait = Math.min(longestWait, firstWait * 2 ** attempt);
  return wait / 2 + (wait / 2) * random;
}

/** How often to look at the clock, and what gap in it means that the computer slept. */
const tick = 5000;
const slept = 15_000;

/** Watches a machine until the returned function is called. */
export function watch(machineId: string, handlers: LiveHandlers): () => void {
  const follower = new LiveState();
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let frame: number | undefined;
  let attempt = 0;
  let over = false;
  let asking = false;

  const subscribe = (since: string | undefined) => {
    const request: LiveRequest = { action: "subscribe", machine_id: machineId, changes: true, ...(since && { since }) };
    socket?.send(JSON.stringify(request));
  };

  const connect = () => {
    clearTimeout(timer);
    handlers.status("connecting");
    const url = new URL("/api/v1/live", window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const mine = new WebSocket(url);
    socket = mine;
    mine.onopen = () => {
      asking = false;
      subscribe(follower.at);
    };
    mine.onmessage = (event) => receive(JSON.parse(event.data as string) as LiveMessage);
    mine.onclose = ({ code }) => {
      if (over || socket !== mine) return;
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
      case "changes_message":
        switch (follower.take(message)) {
          case "new":
            asking = false;
            frame ??= requestAnimationFrame(show);
            break;
          case "lost":
            if (!asking) subscribe(undefined);
            asking = true;
        }
        break;
      case "error":
        if (message.code === "unknown_machine") {
          over = true;
          socket?.close();
          handlers.status("unknown");
        }
    }
  };

  // However fast snapshots come, and after a time in the background: one update per frame.
  const show = () => {
    frame = undefined;
    const snapshot = follower.snapshot();
    if (snapshot && !over) handlers.snapshot(snapshot);
  };

  // A laptop that wakes up should not wait for the rest of a back-off, nor trust a
  // socket from before: the server's end of it may be long gone.
  const comeBack = () => {
    if (over) return;
    attempt = 0;
    const old = socket;
    connect();
    old?.close();
  };
  const online = () => socket?.readyState !== WebSocket.OPEN && comeBack();
  let looked = Date.now();
  const look = () => {
    if (document.hidden) return; // timers are slow then, and nobody looks
    const gap = Date.now() - looked;
    looked = Date.now();
    if (gap > slept) comeBack();
  };
  const clock = setInterval(look, tick);
  window.addEventListener("online", online);
  document.addEventListener("visibilitychange", look);
  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    clearInterval(clock);
    if (frame !== undefined) cancelAnimationFrame(frame);
    window.removeEventListener("online", online);
    document.removeEventListener("visibilitychange", look);
    socket?.close();
  };
}
