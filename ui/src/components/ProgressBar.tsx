import { useEffect, useState } from "react";

/** How long to wait before the bar appears, in milliseconds. */
const delay = 300;

/** A bar at the top of the page. It appears if the page is busy for longer than a moment. */
export function ProgressBar({ busy }: { busy: boolean }) {
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    if (!busy) return;
    const timer = setTimeout(() => setVisible(true), delay);
    return () => {
      clearTimeout(timer);
      setVisible(false);
    };
  }, [busy]);
  return visible ? <div className="progress" role="progressbar" aria-label="Loading" /> : null;
}
