import { Panel } from "../../../components/Panel";
import { type Column, columns } from "./columns";

/** Which columns are shown; kept for the person. */
export function ColumnPanel({ shown, onChange }: { shown: Column[]; onChange: (ids: string[]) => void }) {
  const ids = shown.map(({ id }) => id);
  return (
    <Panel label="Columns">
      <fieldset className="choices">
        <legend>Columns</legend>
        {columns.map(({ id, label, title }) => (
          <label key={id} className="inline" title={title}>
            <input
              type="checkbox"
              checked={ids.includes(id)}
              disabled={ids.length === 1 && ids[0] === id}
              onChange={(e) => onChange(e.target.checked ? [...ids, id] : ids.filter((other) => other !== id))}
            />{" "}
            {label}
          </label>
        ))}
      </fieldset>
    </Panel>
  );
}
