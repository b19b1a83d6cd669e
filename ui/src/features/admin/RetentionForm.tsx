import { useQuery } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";
import { retentionQuery, useSetRetention } from "../../api/admin";
import { type Retention, fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { FormError } from "../../components/FormError";
import { Notice } from "../../components/Notice";

const gibibyte = 2 ** 30;

const dayFields: { key: keyof Retention; label: string; hint: string }[] = [
  { key: "raw_days", label: "Snapshots, days", hint: "Every snapshot with the processes that ran." },
  {
    key: "exits_days",
    label: "Short-lived, days",
    hint: "Processes that started and ended between two snapshots. Their sums by name are kept longer.",
  },
  { key: "minute_days", label: "1-minute rollups, days", hint: "For machines." },
  { key: "hour_days", label: "1-hour rollups, days", hint: "For machines and processes." },
  { key: "three_hours_days", label: "3-hour rollups, days", hint: "For machines and processes." },
  { key: "day_days", label: "1-day rollups, days", hint: "For machines and processes." },
];

/** Replaces the names of settings in an error message by their labels. */
const withLabels = (error: string | undefined) =>
  dayFields.reduce((text, { key, label }) => text?.replace(key, `“${label}”`), error);

/** Sets how long each kind of data is kept. */
export function RetentionForm() {
  const { data: retention, error } = useQuery(retentionQuery);
  if (error) {
    return (
      <Notice kind="error" title="Could not load the retention settings.">
        {error.message}
      </Notice>
    );
  }
  return retention ? <Form retention={retention} /> : null;
}

type Draft = Partial<Record<keyof Retention, string>>;

/** Returns the value of an input. The disk budget is edited in GiB and empty if there is none. */
function inputValue(retention: Retention, key: keyof Retention): string {
  if (key !== "budget_bytes") return String(retention[key]);
  return retention.budget_bytes ? String(retention.budget_bytes / gibibyte) : "";
}

function toPatch(draft: Draft): Partial<Retention> {
  const toNumber = ([key, value]: [string, string]) => [
    key,
    key === "budget_bytes" ? Math.round(Number(value) * gibibyte) : Number(value),
  ];
  return Object.fromEntries(Object.entries(draft).map(toNumber)) as Partial<Retention>;
}

function Form({ retention }: { retention: Retention }) {
  const update = useSetRetention();
  const [draft, setDraft] = useState<Draft>();
  const value = (key: keyof Retention) => draft?.[key] ?? inputValue(retention, key);
  const edit = (key: keyof Retention) => (event: { target: { value: string } }) => {
    update.reset();
    setDraft({ ...draft, [key]: event.target.value });
  };
  const save = (event: SyntheticEvent) => {
    event.preventDefault();
    update.mutate(toPatch(draft ?? {}), { onSuccess: () => setDraft(undefined) });
  };
  const deletesData = draft && dayFields.some(({ key }) => Number(value(key)) < retention[key]);
  return (
    <form className="card" onSubmit={save} aria-labelledby="retention-title">
      <h2 id="retention-title">Retention</h2>
      <div className="columns">
        {dayFields.map(({ key, label, hint }) => (
          <Field
            key={key}
            label={label}
            hint={hint}
            type="number"
            min="1"
            max="3650"
            required
            value={value(key)}
            onChange={edit(key)}
            error={withLabels(fieldError(update.error, key))}
          />
        ))}
        <Field
          label="Disk budget, GiB"
          hint="When it is used up, the oldest snapshots or short-lived processes are deleted. Leave empty for no limit."
          type="number"
          min="0"
          step="any"
          value={value("budget_bytes")}
          onChange={edit("budget_bytes")}
          error={fieldError(update.error, "budget_bytes")}
        />
      </div>
      {deletesData && <p className="wrong">Older data will be deleted permanently within moments.</p>}
      <FormError error={update.error} fields={[...dayFields.map(({ key }) => key), "budget_bytes"]} />
      <button type="submit" disabled={!draft || update.isPending}>
        {update.isPending ? "Saving…" : "Save"}
      </button>{" "}
      {draft && (
        <button type="button" className="plain" onClick={() => setDraft(undefined)}>
          Discard changes
        </button>
      )}
      {update.isSuccess && !draft && <span role="status">Saved.</span>}
    </form>
  );
}
