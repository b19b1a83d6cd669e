import { Link } from "@tanstack/react-router";
import { Fragment, type ReactNode } from "react";
import { DateTime } from "../../components/Timestamps";
import { cgroupLabel } from "../../processes/cgroup";
import type { Process } from "../../processes/process";

interface ProcessFactsProps {
  machineId: string;
  pid: number;
  identity: Pick<Process, "name" | "user" | "cgroup"> | undefined;
  startedAt: string | undefined;
  /** An instant at which the process ran. */
  instant: string | undefined;
}

/** The user, the service and the start time of a process in one line, with links to related pages. */
export function ProcessFacts({ machineId, pid, identity, startedAt, instant }: ProcessFactsProps) {
  const facts: [key: string, fact: ReactNode][] = [];
  if (identity?.user) facts.push(["user", `user ${identity.user}`]);
  if (identity?.cgroup) {
    facts.push([
      "cgroup",
      <span key="cgroup" title={identity.cgroup}>
        {cgroupLabel(identity.cgroup)}
      </span>,
    ]);
  }
  if (startedAt) {
    facts.push([
      "started",
      <Fragment key="started">
        started <DateTime at={startedAt} />
      </Fragment>,
    ]);
  }
  if (identity) {
    facts.push([
      "name",
      <Link key="name" to="/processes/$name" params={{ name: identity.name }}>
        All {identity.name} processes on all machines
      </Link>,
    ]);
  }
  if (instant) {
    facts.push([
      "tree",
      <Link key="tree" to="/machines/$machineId" params={{ machineId }} search={{ at: instant, filter: String(pid) }}>
        Show in process tree
      </Link>,
    ]);
  }
  return (
    <p className="quiet facts">
      {facts.map(([key, fact], i) => (
        <Fragment key={key}>
          {i > 0 && " · "}
          {fact}
        </Fragment>
      ))}
    </p>
  );
}
