import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { auditQuery } from "../../api/admin";
import { LocalTimeInput } from "../../components/LocalTimeInput";
import { Notice } from "../../components/Notice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { TimeAgo } from "../../components/Timestamps";
import { useDebounced } from "../../hooks/useDebounced";
import { iso } from "../../time/range";
import { LoadMore } from "./LoadMore";
import type { AuditSearch } from "./search";

const isEmpty = (value: unknown) =>
  value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);

/** Formats the details of an audit log entry in one line, without empty values. */
export function formatDetail(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .filter(([, value]) => !isEmpty(value))
    .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}

const columns = ["When", "Actor", "Action", "Target", "Address"].map((title) => ({ title }));

/** Returns a search for entries that contain a text, or match it if it has a wildcard. */
export const contains = (text: string | undefined): string | undefined =>
  text === undefined || text.includes("*") ? text : `*${text}*`;

const texts = [
  ["actor", "Actor", "alice"],
  ["action", "Action", "machine.changed"],
  ["target", "Target", "machine web-1"],
] as const;

const times = [
  ["from", "From"],
  ["to", "To"],
] as const;

/** The audit log, with a search by actor, action, target and time. The search is in the URL. */
export function AuditTab() {
  const { actor, action, target, from, to } = useSearch({ from: "/admin" });
  const search: AuditSearch = { actor, action, target, from, to };
  const navigate = useNavigate({ from: "/admin" });
  const change = (change: AuditSearch) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false });
  const audit = useInfiniteQuery(
    auditQuery({
      actor: useDebounced(contains(actor), 150),
      action: useDebounced(contains(action), 150),
      target: useDebounced(contains(target), 150),
      from,
      to,
    }),
  );
  const entries = audit.data?.pages.flatMap((page) => page.results);
  const searching = Object.values(search).some((value) => value !== undefined);
  return (
    <>
      <div className="audit-search" role="search" aria-label="Audit log">
        {texts.map(([key, label, example]) => (
          <label key={key}>
            {label}
            <input
              type="search"
              placeholder={`Such as ${example}`}
              value={search[key] ?? ""}
              onChange={(e) => change({ [key]: e.target.value || undefined })}
            />
          </label>
        ))}
        {times.map(([key, label]) => (
          <LocalTimeInput
            key={key}
            label={label}
            value={search[key] ? Date.parse(search[key]) : undefined}
            onChange={(ms) => change({ [key]: iso(ms) })}
            onClear={() => change({ [key]: undefined })}
          />
        ))}
        {searching && (
          <button
            type="button"
            className="plain"
            onClick={() =>
              change({ actor: undefined, action: undefined, target: undefined, from: undefined, to: undefined })
            }
          >
            Clear
          </button>
        )}
      </div>
      {audit.error && <Notice kind="error" title={audit.error.message} />}
      {entries?.length === 0 && (
        <p className="quiet">{searching ? "No entries match the search." : "The audit log is empty."}</p>
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
                  <td>
                    <button type="button" className="plain" onClick={() => change({ actor: entry.actor })}>
                      {entry.actor}
                    </button>
                  </td>
                  <td>
                    {entry.action}
                    <span className="quiet block">{formatDetail(entry.detail as Record<string, unknown>)}</span>
                  </td>
                  <td>
                    <button type="button" className="plain" onClick={() => change({ target: entry.target })}>
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
