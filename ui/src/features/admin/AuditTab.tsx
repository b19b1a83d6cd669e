import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { auditQuery } from "../../api/admin";
import { Notice } from "../../components/Notice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { TimeAgo } from "../../components/Timestamps";

/** What an entry says besides who, what and to what, in a line. */
export function formatDetail(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .filter(
      ([, value]) =>
        value !== null && value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0),
    )
    .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}

export function AuditTab() {
  const [target, setTarget] = useState("");
  const { data, error, hasNextPage, fetchNextPage, isFetching } = useInfiniteQuery(auditQuery(target));
  const entries = data?.pages.flatMap((page) => page.results);
  return (
    <>
      <div className="heading">
        <input
          type="search"
          aria-label="Of one target"
          placeholder="Of one target, such as user alice"
          value={target}
          onChange={(e) => setTarget(e.target.value)}
        />
      </div>
      {error && <Notice kind="error" title={error.message} />}
      {entries?.length === 0 && (
        <p className="quiet">{target ? `Nothing was done to “${target}”.` : "Nothing was done yet."}</p>
      )}
      {entries && entries.length > 0 && (
        <ScrollRegion label="Audit log">
          <table className="audit">
            <TableHead
              columns={[{ title: "When" }, { title: "Who" }, { title: "Did" }, { title: "To" }, { title: "From" }]}
            />
            <tbody>
              {entries.map((entry, i) => (
                <tr key={`${entry.timestamp} ${i}`}>
                  <td>
                    <TimeAgo at={entry.timestamp} />
                  </td>
                  <td>{entry.actor}</td>
                  <td>
                    {entry.action}
                    <span className="quiet block">{formatDetail(entry.detail as Record<string, unknown>)}</span>
                  </td>
                  <td>
                    <button type="button" className="plain" onClick={() => setTarget(entry.target)}>
                      {entry.target}
                    </button>
                  </td>
                  <td className="quiet">{entry.address}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
      {hasNextPage && (
        <p>
          <button type="button" disabled={isFetching} onClick={() => void fetchNextPage()}>
            More
          </button>
        </p>
      )}
    </>
  );
}
