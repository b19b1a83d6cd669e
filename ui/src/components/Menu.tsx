import { type ReactNode, Suspense, createContext, lazy, use, useState } from "react";

export interface PanelProps {
  label: string;
  symbol?: ReactNode;
  className?: string;
  children: ReactNode;
}

// Loaded with the first panel that somebody opens, or comes near: no page begins with one.
const load = () => import("./OpenPanel");
const OpenPanel = lazy(load);

/** Closes the panel that this is in. */
export const ClosePanel = createContext(() => {});

/** What the button of a panel looks like. */
export const buttonOf = ({ label, symbol, className }: PanelProps) => ({ type: "button" as const, className: `plain ${className ?? ""}`, ...(symbol ? { "aria-label": label, title: label, children: symbol } : { children: label }) });

/** A button that opens a small panel below it. */
export function Panel(props: PanelProps) {
  const [asked, setAsked] = useState(false);
  const closed = <button {...buttonOf(props)} aria-haspopup="dialog" aria-expanded={false} onPointerEnter={() => void load()} onFocus={() => void load()} onClick={() => setAsked(true)} />;
  return asked ? (
    <Suspense fallback={closed}>
      <OpenPanel {...props} />
    </Suspense>
  ) : (
    closed
  );
}

/** A panel of things to do. */
export function Menu({ label, symbol, children }: { label: string; symbol?: ReactNode; children: ReactNode }) {
  return (
    <Panel label={label} symbol={symbol} className="menu-button">
      <div className="menu">{children}</div>
    </Panel>
  );
}

/** One of them; the menu closes when it is chosen. */
export function MenuItem({ onSelect, children }: { onSelect(): void; children: ReactNode }) {
  const close = use(ClosePanel);
  return (
    <button
      type="button"
      className="plain"
      onClick={() => {
        onSelect();
        close();
      }}
    >
      {children}
    </button>
  );
}
