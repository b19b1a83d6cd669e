import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { auditQuery } from "../../api/admin";
import { Notice } from "../../components/Notice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { TimeAgo } from "../../components/Timestamps";
import { LoadMore } from "./LoadMore";

const isEmpty = (value: unknown) =>
  value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);

/** Formats the details of an audit log entry in one line, without empty values. */
export function formatDetail(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .filter(([, value]) => !isEmpty(value))
    .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

const columns = ["When", "User", "Action", "Target", "Address"].map((title) => ({ title }));

export function AuditTab() {
  const [target, setTarget] = useState("");
  const audit = useInfiniteQuery(auditQuery(target));
  const entries = audit.data?.pages.flatMap((page) => page.results);
  return (
    <>
      <div className="heading">
        <input
          type="search"
          aria-label="Filter by target"
          placeholder="Target, such as user alice"
          value={target}
          onChange={(e) => setTarget(e.target.value)}
        />
      </div>
      {audit.error && <Notice kind="error" title={audit.error.message} />}
      {entries?.length === 0 && (
        <p className="quiet">{target ? `No entries about “${target}”.` : "The audit log is empty."}</p>
      )}
      {entries && entries.length > 0 && (
        <ScrollRegion label="Audit log">
          <table className="audit">
            <TableHead columns={columns} />
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
      <LoadMore query={audit} />
    </>
  );
}
