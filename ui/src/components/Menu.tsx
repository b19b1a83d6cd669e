import { type ReactNode, use } from "react";
import { Panel } from "./Panel";
import { ClosePanelContext } from "./panelContext";

interface MenuProps {
  label: string;
  symbol?: ReactNode;
  children: ReactNode;
}

/** A button that opens a menu of actions. */
export function Menu({ label, symbol, children }: MenuProps) {
  return (
    <Panel label={label} symbol={symbol} className="menu-button">
      <div className="menu">{children}</div>
    </Panel>
  );
}

/** An action of a menu. The menu closes when the action is chosen. */
export function MenuItem({ onSelect, children }: { onSelect: () => void; children: ReactNode }) {
  const close = use(ClosePanelContext);
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
