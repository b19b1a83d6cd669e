import { useEffect, useState } from "react";

/** Reports whether this many milliseconds have passed since the component was mounted. */
export function useDelayElapsed(ms: number): boolean {
  const [elapsed, setElapsed] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setElapsed(true), ms);
    return () => clearTimeout(timer);
  }, [ms]);
  return elapsed;
}
