import { useEffect, useState } from "react";

/** Whether so many milliseconds have passed since the page was there. */
export function useDelayElapsed(ms: number): boolean {
  const [later, setLater] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLater(true), ms);
    return () => clearTimeout(timer);
  }, [ms]);
  return later;
}
