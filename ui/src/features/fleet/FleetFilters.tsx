import { useState } from "react";
import { type Status, statuses } from "./filterMachines";
import type { FleetSearch } from "./search";

interface FilterProps {
  search: FleetSearch;
  onChange: (change: Partial<FleetSearch>) => void;
}

/** Selects machines by status. Clicking the selected status shows all machines again. */
export function StatusFilter({ search, counts, onChange }: FilterProps & { counts: Record<Status, number> }) {
  // Machines are rarely waiting for their first snapshot.
  const isShown = (status: Status) => status !== "waiting" || counts[status] > 0 || search.status === status;
  return (
    <div className="range" role="group" aria-label="Status">
      {statuses.filter(isShown).map((status) => (
        <button
          key={status}
          type="button"
          className="choice"
          aria-pressed={search.status === status}
          disabled={counts[status] === 0 && search.status !== status}
          onClick={() => onChange({ status: search.status === status ? undefined : status })}
        >
          <span className={`dot ${status}`} aria-hidden="true" />
          {counts[status]} {status}
        </button>
      ))}
    </div>
  );
}

/** The number of tags that are shown at first. */
const initialTags = 30;

/** Selects machines that have all of the chosen tags. */
export function TagFilter({ search, tags, onChange }: FilterProps & { tags: string[] }) {
  const [all, setAll] = useState(false);
  const selected = search.tag ?? [];
  const toggle = (tag: string) => {
    const next = selected.includes(tag) ? selected.filter((other) => other !== tag) : [...selected, tag];
    onChange({ tag: next.length > 0 ? next : undefined });
  };
  return (
    <div className="chips" role="group" aria-label="Tags">
      {tags
        .filter((tag, i) => all || i < initialTags || selected.includes(tag))
        .map((tag) => (
          <button
            key={tag}
            type="button"
            className="chip"
            aria-pressed={selected.includes(tag)}
            onClick={() => toggle(tag)}
          >
            {tag}
          </button>
        ))}
      {tags.length > initialTags && (
        <button type="button" className="plain" onClick={() => setAll(!all)}>
          {all ? "Show fewer tags" : `Show all ${tags.length} tags`}
        </button>
      )}
    </div>
  );
}
