import { useEffect, useState } from "react";

/** What may be waited for without being told, in milliseconds. */
const patience = 300;

/** A bar at the top of the page while something takes longer than a moment. */
export function ProgressBar({ busy }: { busy: boolean }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!busy) return;
    const timer = setTimeout(() => setLate(true), patience);
    return () => {
      clearTimeout(timer);
      setLate(false);
    };
  }, [busy]);
  return late ? <div className="progress" role="progressbar" aria-label="Loading" /> : null;
}
