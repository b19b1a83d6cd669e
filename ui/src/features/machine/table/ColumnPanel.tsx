import { Panel } from "../../../components/Panel";
import { type Column, columns } from "./columns";

/** Selects the columns of the table. The selection is stored for the user. */
export function ColumnPanel({ shown, onChange }: { shown: Column[]; onChange: (ids: string[]) => void }) {
  const ids = shown.map(({ id }) => id);
  const toggle = (id: string) => onChange(ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id]);
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
              onChange={() => toggle(id)}
            />{" "}
            {label}
          </label>
        ))}
      </fieldset>
    </Panel>
  );
}
