import { useQuery } from "@tanstack/react-query";
import { useIsAdmin } from "./api/account";
import { serverHealthQuery } from "./api/health";
import { Notice } from "./components/Notice";

/** Says above each page what is wrong with the server. Administrators also see warnings. */
export function HealthBanner() {
  const { data: health } = useQuery(serverHealthQuery);
  const isAdmin = useIsAdmin();
  if (!health) return null;
  const { failures, warnings } = health;
  return (
    <div className="health">
      {failures.length > 0 && (
        <Notice kind="error" title="The server is not ready.">
          <Reasons list={failures} />
          Agents keep their snapshots meanwhile.
        </Notice>
      )}
      {isAdmin && warnings.length > 0 && (
        <Notice title="The server needs attention.">
          <Reasons list={warnings} />
        </Notice>
      )}
    </div>
  );
}

function Reasons({ list }: { list: string[] }) {
  return (
    <ul>
      {list.map((reason) => (
        <li key={reason}>{reason}</li>
      ))}
    </ul>
  );
}
