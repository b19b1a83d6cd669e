import { useEffect, useState } from "react";
import { duration, moment, utc } from "../format";

/** An instant in the viewer's zone, with UTC on hover. */
export function TimeOfDay({ at }: { at: string }) {
  return (
    <time dateTime={at} title={utc(at)}>
      {new Date(at).toLocaleTimeString()}
    </time>
  );
}

/** An instant with its date. */
export function DateTime({ at }: { at: string }) {
  return (
    <time dateTime={at} title={utc(at)}>
      {moment(at)}
    </time>
  );
}

/** When something ends, as a date. */
export function ExpiryTime({ at }: { at: string }) {
  return (
    <time dateTime={at} title={utc(at)}>
      {new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}
    </time>
  );
}

/** How long ago an instant is, kept up to date. */
export function TimeAgo({ at }: { at: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const ms = now - Date.parse(at);
  return (
    <time dateTime={at} title={`${moment(at)} (${utc(at)})`}>
      {ms < 1500 ? "now" : `${duration(ms)} ago`}
    </time>
  );
}
