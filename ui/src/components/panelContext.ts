import { type ReactNode, createContext } from "react";

export interface PanelProps {
  label: string;
  /** Shown in place of the label, which is then the button's accessible name. */
  symbol?: ReactNode;
  className?: string;
  children: ReactNode;
}

/** Closes the panel that surrounds the component. */
export const ClosePanelContext = createContext((): void => undefined);

/** Returns the props of the button that opens a panel. */
export const triggerProps = ({ label, symbol, className }: PanelProps) => ({
  type: "button" as const,
  className: `plain ${className ?? ""}`,
  ...(symbol ? { "aria-label": label, title: label, children: symbol } : { children: label }),
});
