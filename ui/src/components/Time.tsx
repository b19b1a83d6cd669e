import { useEffect, useState } from "react";
import { duration } from "../format";

/** An instant in the viewer's zone, with UTC on hover. */
export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at.replace("T", " ").replace("Z", " UTC")}>
      {new Date(at).toLocaleTimeString()}
    </time>
  );
}

/** When something ends, as a date. */
export function Until({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at.replace("T", " ").replace("Z", " UTC")}>
      {new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}
    </time>
  );
}

/** How long ago an instant is, kept up to date. */
export function Ago({ at }: { at: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const ms = now - Date.parse(at);
  return (
    <time dateTime={at} title={`${new Date(at).toLocaleString()} (${at.replace("T", " ").replace("Z", " UTC")})`}>
      {ms < 1500 ? "now" : `${duration(ms)} ago`}
    </time>
  );
}
