import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { NearestMatch } from "../../api/client";
import { type FindCriteria, nearestQuery } from "../../api/history";
import { machineName } from "../../api/machineName";
import { DateTime } from "../../components/Timestamps";
import { duration } from "../../format";
import { exitText } from "../../processes/exitStatus";

/** The times nearest to a search without results at which a matching process ran. */
export function NearestMatches({ criteria }: { criteria: FindCriteria }) {
  const { data, error } = useQuery(nearestQuery(criteria));
  if (error) return <>Could not find out when a matching process ran. {error.message}</>;
  if (!data) return <>Searching for the nearest time…</>;
  if (!data.before && !data.after) return <>There is no matching process at any other time.</>;
  const [from, to] = "time" in criteria ? [criteria.time, criteria.time] : [criteria.from, criteria.to];
  return (
    <>
      The nearest times at which a matching process ran:
      <ul>
        {data.before && (
          <NearestItem match={data.before} distance={`${apart(data.before.timestamp, from)} before`} name="before" />
        )}
        {data.after && (
          <NearestItem match={data.after} distance={`${apart(to, data.after.timestamp)} after`} name="after" />
        )}
      </ul>
    </>
  );
}

const apart = (earlier: string, later: string) => duration(Date.parse(later) - Date.parse(earlier));

function NearestItem({ match, distance, name }: { match: NearestMatch; distance: string; name: string }) {
  const end = exitText(match);
  return (
    <li data-nearest={name} data-pid={match.pid}>
      <Link
        to="/machines/$machineId"
        params={{ machineId: match.machine_id }}
        search={{ at: match.timestamp, filter: String(match.pid) }}
      >
        <DateTime at={match.timestamp} />
      </Link>{" "}
      on {machineName(match, match.machine_id)}: {match.name} <span className="number quiet">{match.pid}</span>{" "}
      <span className="quiet">
        ({distance}){end !== undefined && ` · Ended: ${end}`}
      </span>
    </li>
  );
}
