import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

interface MachineHeadingProps {
  name: string;
  /** Links the name to the page of the machine. */
  machineId?: string;
  children: ReactNode;
}

/** A breadcrumb and the name of a machine, followed by the controls of the page. */
export function MachineHeading({ name, machineId, children }: MachineHeadingProps) {
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
