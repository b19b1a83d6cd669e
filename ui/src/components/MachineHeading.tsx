import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

/** The way back and the machine's name, with what the page has to say beside them. On a page below the machine's, its name leads to it. */
export function MachineHeading({
  name,
  machineId,
  children,
}: {
  name: string;
  machineId?: string;
  children: ReactNode;
}) {
  return (
    <div className="heading">
      <nav aria-label="Breadcrumb">
        <Link to="/">Machines</Link>
        <span aria-hidden="true"> / </span>
      </nav>
      <h1>
        {machineId ? (
          <Link to="/machines/$machineId" params={{ machineId }}>
            {name}
          </Link>
        ) : (
          name
        )}
      </h1>
      {children}
    </div>
  );
}
