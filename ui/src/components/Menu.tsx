import * as Popover from "@radix-ui/react-popover";
import type { ReactNode } from "react";

/** A button that opens a small panel below it. */
export function Panel({ label, symbol, className, children }: { label: string; symbol?: ReactNode; className?: string; children: ReactNode }) {
  return (
    <Popover.Root>
      <Popover.Trigger asChild>
        <button type="button" className={`plain ${className ?? ""}`} {...(symbol && { "aria-label": label, title: label })}>
          {symbol ?? label}
        </button>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content className="panel" align="end" sideOffset={4} collisionPadding={8} aria-label={label}>
          {children}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
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
  return (
    <Popover.Close asChild>
      <button type="button" className="plain" onClick={onSelect}>
        {children}
      </button>
    </Popover.Close>
  );
}
