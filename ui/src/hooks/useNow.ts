import { useEffect, useState } from "react";

/** The time, kept up to date to a quarter of a minute: for windows that end now. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 15_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
