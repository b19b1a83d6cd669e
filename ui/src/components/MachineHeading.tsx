import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

/** The way back and the machine's name, with what the page has to say beside them. */
export function MachineHeading({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="heading">
      <nav aria-label="Breadcrumb">
        <Link to="/">Machines</Link>
        <span aria-hidden="true"> / </span>
      </nav>
      <h1>{name}</h1>
      {children}
    </div>
  );
}
