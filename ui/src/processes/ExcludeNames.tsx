import { type FormEvent, useState } from "react";

/** The names that are left out, to add to and to take from. */
export function ExcludeNames({ names, onChange }: { names: string[]; onChange: (names: string[]) => void }) {
  const [draft, setDraft] = useState("");
  const add = (event: FormEvent) => {
    event.preventDefault();
    const name = draft.trim();
    if (name && !names.includes(name)) onChange([...names, name]);
    setDraft("");
  };
  return (
    <form className="exclude" onSubmit={add}>
      <input placeholder="Exclude a name" aria-label="Exclude processes by name" value={draft} onChange={(e) => setDraft(e.target.value)} />
      {names.map((name) => (
        <button key={name} type="button" className="chip" aria-label={`Show ${name} again`} onClick={() => onChange(names.filter((other) => other !== name))}>
          {name} <span aria-hidden="true">×</span>
        </button>
      ))}
    </form>
  );
}
