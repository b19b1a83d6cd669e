import { useEffect, useState } from "react";
import { dateTime, duration, timeOfDay, utc } from "../format";

// Instants in the time zone of the user, with UTC on hover.

export function TimeOfDay({ at }: { at: string }) {
  return (
    <time dateTime={at} title={utc(at)}>
      {timeOfDay(at)}
    </time>
  );
}

export function DateTime({ at }: { at: string }) {
  return (
    <time dateTime={at} title={utc(at)}>
      {dateTime(at)}
    </time>
  );
}

/** A date and time without seconds. */
export function ExpiryTime({ at }: { at: string }) {
  return (
    <time dateTime={at} title={utc(at)}>
      {dateTime(at, "short")}
    </time>
  );
}

/** How long ago an instant is. Updated every second. */
export function TimeAgo({ at }: { at: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const ms = now - Date.parse(at);
  return (
    <time dateTime={at} title={`${dateTime(at)} (${utc(at)})`}>
      {ms < 1500 ? "now" : `${duration(ms)} ago`}
    </time>
  );
}
