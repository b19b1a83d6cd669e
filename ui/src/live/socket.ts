// A WebSocket to /api/v1/live that watches one machine and reconnects by itself.
import { serverUrl } from "../api/basePath";
import type { LiveMessage, LiveRequest } from "../api/client";
import { type LiveSnapshot, LiveState } from "./liveState";

export type { LiveSnapshot };

/**
 * The state of the connection. "unknown" means that the machine does not exist or that the user may
 * not view it. "ended" means that the session has ended.
 */
export type LiveStatus = "connecting" | "live" | "lost" | "unknown" | "ended";

// Close codes of the server after which the client must not reconnect.
const sessionEnded = 4401;
const accessRevoked = 4403;

export interface LiveHandlers {
  /** Called with the newest state, at most once per animation frame. */
  onSnapshot: (snapshot: LiveSnapshot) => void;
  onStatus: (status: LiveStatus) => void;
}

const firstDelay = 500;
const maxDelay = 10_000;

/** Returns the delay before a reconnection attempt in milliseconds: exponential, with jitter. */
export function backoff(attempt: number, random = Math.random()): number {
  const delay = Math.min(maxDelay, firstDelay * 2 ** attempt);
  return delay / 2 + (delay / 2) * random;
}

// The clock is checked at this interval. A larger gap means that the computer was suspended. In milliseconds.
const clockCheckInterval = 5000;
const suspendedAfter = 15_000;

/** Watches a machine until the returned function is called. */
export function watch(machineId: string, handlers: LiveHandlers): () => void {
  const state = new LiveState();
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let frame: number | undefined;
  let attempt = 0;
  let stopped = false;
  let resyncing = false;

  const subscribe = (since: string | undefined) => {
    const request: LiveRequest = {
      action: "subscribe",
      machine_id: machineId,
      changes: true,
      ...(since && { since }),
    };
    socket?.send(JSON.stringify(request));
  };

  const connect = () => {
    clearTimeout(timer);
    handlers.onStatus("connecting");
    const url = new URL(`${serverUrl}/api/v1/live`);
    url.protocol = url.protocol.replace("http", "ws");
    const opened = new WebSocket(url);
    socket = opened;
    opened.onopen = () => {
      resyncing = false;
      subscribe(state.at);
    };
    opened.onmessage = (event) => receive(JSON.parse(event.data as string) as LiveMessage);
    opened.onclose = ({ code }) => {
      if (stopped || socket !== opened) return;
      if (code === sessionEnded || code === accessRevoked) {
        stopped = true;
        handlers.onStatus(code === sessionEnded ? "ended" : "unknown");
        return;
      }
      handlers.onStatus("lost");
      timer = setTimeout(connect, backoff(attempt++));
    };
  };

  const receive = ({ type, message }: LiveMessage) => {
    switch (type) {
      case "subscribed":
        attempt = 0;
        handlers.onStatus("live");
        break;
      case "changes_message":
        switch (state.apply(message)) {
          case "applied":
            resyncing = false;
            frame ??= requestAnimationFrame(render);
            break;
          case "gap":
            if (!resyncing) subscribe(undefined);
            resyncing = true;
        }
        break;
      case "error":
        if (message.code === "unknown_machine") {
          stopped = true;
          socket?.close();
          handlers.onStatus("unknown");
        }
    }
  };

  // Several messages can arrive within one frame, and many while the page is in the background.
  const render = () => {
    frame = undefined;
    const snapshot = state.snapshot();
    if (snapshot && !stopped) handlers.onSnapshot(snapshot);
  };

  // After the computer was suspended or offline, connect at once instead of after the backoff. The
  // old socket is not used any more, because the server may have closed its end.
  const reconnect = () => {
    if (stopped) return;
    attempt = 0;
    const old = socket;
    connect();
    old?.close();
  };
  const onOnline = () => {
    if (socket?.readyState !== WebSocket.OPEN) reconnect();
  };
  let lastCheck = Date.now();
  const checkClock = () => {
    if (document.hidden) return; // Browsers throttle the timers of hidden pages.
    const gap = Date.now() - lastCheck;
    lastCheck = Date.now();
    if (gap > suspendedAfter) reconnect();
  };
  const clock = setInterval(checkClock, clockCheckInterval);
  window.addEventListener("online", onOnline);
  document.addEventListener("visibilitychange", checkClock);
  connect();
  return () => {
    stopped = true;
    clearTimeout(timer);
    clearInterval(clock);
    if (frame !== undefined) cancelAnimationFrame(frame);
    window.removeEventListener("online", onOnline);
    document.removeEventListener("visibilitychange", checkClock);
    socket?.close();
  };
}
