import { exitFilterLabel, exitFilters } from "../../processes/exitStatus";

interface ExitFilterProps {
  /** The selected filter; undefined for all processes. */
  filter: string | undefined;
  onChange: (filter: string | undefined) => void;
}

/** Selects processes by how they ended. */
export function ExitFilter({ filter, onChange }: ExitFilterProps) {
  const isListed = filter === undefined || exitFilters.some(([one]) => one === filter);
  return (
    <label className="exit-filter">
      Exit status
      <select value={filter ?? ""} onChange={(e) => onChange(e.target.value || undefined)}>
        <option value="">Any, or still running</option>
        {!isListed && <option value={filter}>{exitFilterLabel(filter)}</option>}
        {exitFilters.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}
