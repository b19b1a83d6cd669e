import { Link } from "@tanstack/react-router";
import type { Machine } from "../../api/client";
import { duration } from "../../format";

/** The platform, the hardware and the tags of a machine in one line. */
export function MachineFacts({ machine, uptimeMs }: { machine: Machine; uptimeMs: number | null | undefined }) {
  const facts = [
    machine.platform,
    machine.kernel,
    machine.architecture,
    machine.cpu_model && `${machine.cpu_count} × ${machine.cpu_model}`,
    uptimeMs && `up ${duration(uptimeMs)}`,
  ];
  return (
    <p className="quiet facts">
      {facts.filter(Boolean).join(" · ")}
      {machine.tags.map((tag) => (
        <Link key={tag} to="/" search={{ tag: [tag] }} className="tag">
          {tag}
        </Link>
      ))}
    </p>
  );
}
