import { type SyntheticEvent, useId, useState } from "react";
import { Panel } from "../../../components/Panel";
import { type View, mebibyte } from "../../../processes/rows";
import type { MachineSearch } from "../search";

interface FilterProps {
  view: View;
  onChange: (change: Partial<MachineSearch>) => void;
  onNames: (which: "include" | "exclude", names: string[]) => void;
}

/** Returns the number in an input; undefined unless it is positive. */
const toPositive = (text: string): number | undefined => (Number(text) > 0 ? Number(text) : undefined);

/** Filters the processes by user, CPU, memory and name. */
export function FilterPanel({ view, users, onChange, onNames }: FilterProps & { users: string[] }) {
  const id = useId();
  return (
    <Panel label="Filters">
      <div className="field">
        <label htmlFor={`${id}-user`}>User</label>
        <select id={`${id}-user`} value={view.user} onChange={(e) => onChange({ user: e.target.value || undefined })}>
          <option value="">All users</option>
          {users.map((user) => (
            <option key={user}>{user}</option>
          ))}
        </select>
      </div>
      <div className="columns">
        <MinimumField label="Min. CPU, %" value={view.cpu} onChange={(cpu) => onChange({ cpu })} />
        <MinimumField label="Min. memory, MiB" value={view.memory / mebibyte} onChange={(mem) => onChange({ mem })} />
      </div>
      <AddNameForm
        label="Exclude processes by name"
        hint="Their children take their place in the tree. Saved in your account."
        names={view.exclude}
        onChange={(names) => onNames("exclude", names)}
      />
      <AddNameForm
        label="Show only processes by name"
        hint="Their parents remain visible in the tree. Saved in your account."
        names={view.include}
        onChange={(names) => onNames("include", names)}
      />
    </Panel>
  );
}

interface MinimumFieldProps {
  label: string;
  /** 0 for no minimum. */
  value: number;
  onChange: (value: number | undefined) => void;
}

function MinimumField({ label, value, onChange }: MinimumFieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="number"
        min="0"
        step="any"
        value={value || ""}
        onChange={(e) => onChange(toPositive(e.target.value))}
      />
    </div>
  );
}

interface AddNameFormProps {
  label: string;
  hint: string;
  names: readonly string[];
  onChange: (names: string[]) => void;
}

function AddNameForm({ label, hint, names, onChange }: AddNameFormProps) {
  const [draft, setDraft] = useState("");
  const id = useId();
  const add = (event: SyntheticEvent) => {
    event.preventDefault();
    const name = draft.trim();
    if (name && !names.includes(name)) onChange([...names, name]);
    setDraft("");
  };
  return (
    <form className="field" onSubmit={add}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        value={draft}
        aria-describedby={`${id}-hint`}
        placeholder="Enter a full name and press Enter"
        onChange={(e) => setDraft(e.target.value)}
      />
      <span id={`${id}-hint`} className="quiet">
        {hint}
      </span>
    </form>
  );
}

/** Shows the active filters as buttons that remove them. */
export function FilterChips({ view, onChange, onNames }: FilterProps) {
  const removeName = (which: "include" | "exclude", name: string) =>
    onNames(
      which,
      view[which].filter((other) => other !== name),
    );
  return (
    <>
      {view.user && <Chip text={`user ${view.user}`} onRemove={() => onChange({ user: undefined })} />}
      {view.cpu > 0 && <Chip text={`CPU ≥ ${view.cpu} %`} onRemove={() => onChange({ cpu: undefined })} />}
      {view.memory > 0 && (
        <Chip text={`memory ≥ ${view.memory / mebibyte} MiB`} onRemove={() => onChange({ mem: undefined })} />
      )}
      {view.include.map((name) => (
        <Chip key={`+${name}`} text={`only ${name}`} onRemove={() => removeName("include", name)} />
      ))}
      {view.exclude.map((name) => (
        <Chip key={`-${name}`} text={`not ${name}`} onRemove={() => removeName("exclude", name)} />
      ))}
    </>
  );
}

function Chip({ text, onRemove }: { text: string; onRemove: () => void }) {
  const label = `Remove filter: ${text}`;
  return (
    <button type="button" className="chip" aria-label={label} title={label} onClick={onRemove}>
      {text} <span aria-hidden="true">×</span>
    </button>
  );
}
