import { type FormEvent, useId, useState } from "react";
import { Panel } from "../../../components/Panel";
import type { MachineSearch } from "../search";
import { type View, mebibyte } from "../../../processes/rows";

interface FilterProps {
  view: View;
  /** Whose processes there are. */
  users: string[];
  onChange: (change: Partial<MachineSearch>) => void;
  onNames: (which: "include" | "exclude", names: string[]) => void;
}

/** A number that stands in the URL while it is positive. */
const positive = (text: string): number | undefined => (Number(text) > 0 ? Number(text) : undefined);

/** What is shown beyond the text to look for: by user, CPU, memory and names. */
export function FilterPanel({ view, users, onChange, onNames }: FilterProps) {
  const id = useId();
  return (
    <Panel label="Filters">
      <div className="field">
        <label htmlFor={`${id}-user`}>User</label>
        <select id={`${id}-user`} value={view.user} onChange={(e) => onChange({ user: e.target.value || undefined })}>
          <option value="">everybody</option>
          {users.map((user) => (
            <option key={user}>{user}</option>
          ))}
        </select>
      </div>
      <div className="columns">
        <div className="field">
          <label htmlFor={`${id}-cpu`}>CPU at least, %</label>
          <input
            id={`${id}-cpu`}
            type="number"
            min="0"
            step="any"
            value={view.cpu || ""}
            onChange={(e) => onChange({ cpu: positive(e.target.value) })}
          />
        </div>
        <div className="field">
          <label htmlFor={`${id}-mem`}>Memory at least, MiB</label>
          <input
            id={`${id}-mem`}
            type="number"
            min="0"
            step="any"
            value={view.memory / mebibyte || ""}
            onChange={(e) => onChange({ mem: positive(e.target.value) })}
          />
        </div>
      </div>
      <Names
        label="Exclude processes by name"
        hint="Their children take their place. Kept for you."
        names={view.exclude}
        onChange={(names) => onNames("exclude", names)}
      />
      <Names
        label="Include only processes by name"
        hint="Nothing else is shown but what is above them."
        names={view.include}
        onChange={(names) => onNames("include", names)}
      />
    </Panel>
  );
}

function Names({
  label,
  hint,
  names,
  onChange,
}: {
  label: string;
  hint: string;
  names: readonly string[];
  onChange: (names: string[]) => void;
}) {
  const [draft, setDraft] = useState("");
  const id = useId();
  const add = (event: FormEvent) => {
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
        placeholder="A whole name, then Enter"
        onChange={(e) => setDraft(e.target.value)}
      />
      <span id={`${id}-hint`} className="quiet">
        {hint}
      </span>
    </form>
  );
}

/** What is filtered by, each to take away. */
export function FilterChips({ view, onChange, onNames }: Omit<FilterProps, "users">) {
  return (
    <>
      {view.user && (
        <Chip text={`user ${view.user}`} label="Show all users" onRemove={() => onChange({ user: undefined })} />
      )}
      {view.cpu > 0 && (
        <Chip text={`CPU ≥ ${view.cpu} %`} label="Show any CPU" onRemove={() => onChange({ cpu: undefined })} />
      )}
      {view.memory > 0 && (
        <Chip
          text={`memory ≥ ${view.memory / mebibyte} MiB`}
          label="Show any memory"
          onRemove={() => onChange({ mem: undefined })}
        />
      )}
      {view.include.map((name) => (
        <Chip
          key={`+${name}`}
          text={`only ${name}`}
          label={`Show not only ${name}`}
          onRemove={() =>
            onNames(
              "include",
              view.include.filter((other) => other !== name),
            )
          }
        />
      ))}
      {view.exclude.map((name) => (
        <Chip
          key={`-${name}`}
          text={`not ${name}`}
          label={`Show ${name} again`}
          onRemove={() =>
            onNames(
              "exclude",
              view.exclude.filter((other) => other !== name),
            )
          }
        />
      ))}
    </>
  );
}

function Chip({ text, label, onRemove }: { text: string; label: string; onRemove: () => void }) {
  return (
    <button type="button" className="chip" aria-label={label} title={label} onClick={onRemove}>
      {text} <span aria-hidden="true">×</span>
    </button>
  );
}
