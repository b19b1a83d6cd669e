import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { retentionQuery, storageQuery, useSetRetention } from "../../api/admin";
import { type Retention, fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { DateTime } from "../../components/Timestamps";
import { bytes, number } from "../../format";

const gibibyte = 2 ** 30;

/** What everything takes on disk, and for how long it is kept. */
export function StorageTab() {
  const { data: storage, error, isFetching } = useQuery(storageQuery);
  return (
    <>
      <ProgressBar busy={isFetching} />
      {error && (
        <Notice kind="error" title="What is stored could not be read.">
          {error.message}
        </Notice>
      )}
      {storage && (
        <dl className="tiles">
          <Tile name="On disk" value={bytes(storage.bytes)} detail={`${storage.profile}: ${storage.profile_reason}`} />
          <Tile
            name="Kept since"
            value={storage.oldest ? <DateTime at={storage.oldest} /> : "–"}
            detail={`${storage.process_samples.toLocaleString()} process samples`}
          />
          <Tile
            name="A sample takes"
            value={storage.bytes_per_sample === null ? "–" : `${number(storage.bytes_per_sample, 2)} bytes`}
            detail={
              storage.compression ? `compressed ${number(storage.compression, 1)} times` : "one process at one instant"
            }
          />
          <Tile
            name="A day like the last"
            value={bytes(storage.bytes_per_day)}
            detail={`${storage.samples_per_day.toLocaleString()} samples${storage.budget_days ? `; ${number(storage.budget_days)} days fit` : ""}`}
          />
        </dl>
      )}
      <RetentionForm />
      {storage && (
        <ScrollRegion label="Relations">
          <table>
            <TableHead
              columns={[
                { title: "Relation" },
                { title: "On disk", right: true },
                { title: "Rows, about", right: true },
              ]}
            />
            <tbody>
              {storage.relations.map((relation) => (
                <tr key={relation.relation}>
                  <th scope="row">{relation.relation}</th>
                  <td className="right number">{bytes(relation.bytes)}</td>
                  <td className="right number">{relation.rows?.toLocaleString()}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
    </>
  );
}

function Tile({ name, value, detail }: { name: string; value: React.ReactNode; detail: string }) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>
        <span className="number">{value}</span>
        <span className="quiet block">{detail}</span>
      </dd>
    </div>
  );
}

const days: [keyof Retention, string, string][] = [
  ["raw_days", "Every snapshot, days", "with every process: what the time machine shows"],
  ["minute_days", "Charts by the minute, days", ""],
  ["hour_days", "By the hour, days", "of machines and processes"],
  ["three_hours_days", "By three hours, days", ""],
  ["day_days", "By the day, days", ""],
];

function RetentionForm() {
  const { data: kept, error } = useQuery(retentionQuery);
  const set = useSetRetention();
  const [draft, setDraft] = useState<Partial<Record<keyof Retention, string>>>();
  if (error)
    return (
      <Notice kind="error" title="The retention could not be read.">
        {error.message}
      </Notice>
    );
  if (!kept) return null;
  const shown = (key: keyof Retention) =>
    draft?.[key] ??
    (key === "budget_bytes" ? (kept.budget_bytes ? String(kept.budget_bytes / gibibyte) : "") : String(kept[key]));
  const edit = (key: keyof Retention) => (event: { target: { value: string } }) => {
    set.reset();
    setDraft({ ...draft, [key]: event.target.value });
  };
  const save = (event: FormEvent) => {
    event.preventDefault();
    const patch = Object.fromEntries(
      Object.entries(draft ?? {}).map(([key, value]) => [
        key,
        key === "budget_bytes" ? Math.round(Number(value) * gibibyte) : Number(value),
      ]),
    ) as Partial<Retention>;
    set.mutate(patch, { onSuccess: () => setDraft(undefined) });
  };
  const shorter = draft && days.some(([key]) => Number(shown(key)) < kept[key]);
  return (
    <form className="card" onSubmit={save} aria-labelledby="retention-title">
      <h2 id="retention-title">Retention</h2>
      <div className="columns">
        {days.map(([key, label, hint]) => (
          <Field
            key={key}
            label={label}
            hint={hint}
            type="number"
            min="1"
            max="3650"
            required
            value={shown(key)}
            onChange={edit(key)}
            wrong={fieldError(set.error, key)}
          />
        ))}
        <Field
          label="Disk budget, GiB"
          hint="The oldest snapshots go when it is used up; empty for none."
          type="number"
          min="0"
          step="any"
          value={shown("budget_bytes")}
          onChange={edit("budget_bytes")}
          wrong={fieldError(set.error, "budget_bytes")}
        />
      </div>
      {shorter && <p className="wrong">What is older than that goes within moments, for good.</p>}
      {set.error && !days.some(([key]) => fieldError(set.error, key)) && (
        <p className="wrong" role="alert">
          {set.error.message}
        </p>
      )}
      <button type="submit" disabled={!draft || set.isPending}>
        {set.isPending ? "Saving…" : "Save"}
      </button>{" "}
      {draft && (
        <button type="button" className="plain" onClick={() => setDraft(undefined)}>
          Undo
        </button>
      )}
      {set.isSuccess && !draft && <span role="status">Saved.</span>}
    </form>
  );
}
