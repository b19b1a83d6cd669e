import type { ReactNode } from "react";

/** Something wider than a small screen, which can be scrolled with the keys too. */
export function ScrollRegion({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={label}>
      {children}
    </div>
  );
}
