import { Suspense, lazy, useState } from "react";
import { type PanelProps, triggerProps } from "./panelContext";

// The popover library is loaded when a button is hovered, focused or clicked for the first time.
const load = () => import("./PopoverPanel");
const PopoverPanel = lazy(load);

/** A button that opens a small panel below it. */
export function Panel(props: PanelProps) {
  const [requested, setRequested] = useState(false);
  const closed = (
    <button
      {...triggerProps(props)}
      aria-haspopup="dialog"
      aria-expanded={false}
      onPointerEnter={() => void load()}
      onFocus={() => void load()}
      onClick={() => setRequested(true)}
    />
  );
  return requested ? (
    <Suspense fallback={closed}>
      <PopoverPanel {...props} />
    </Suspense>
  ) : (
    closed
  );
}
