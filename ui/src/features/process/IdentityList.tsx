import type { Process } from "../../processes/process";

interface IdentityListProps {
  identities: readonly Pick<Process, "name" | "command_line" | "ppid" | "user">[];
}

/** Lists the names and command lines of a process that called exec or was re-parented. */
export function IdentityList({ identities }: IdentityListProps) {
  if (identities.length < 2) return null;
  return (
    <section className="card" aria-label="Names and command lines">
      <h2>Names and command lines</h2>
      <ul className="rows">
        {identities.map(({ name, command_line, ppid, user }, i) => (
          <li key={i}>
            <span>
              {name} <code className="quiet">{command_line}</code>
            </span>
            <span className="quiet">
              parent {ppid}, user {user}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
