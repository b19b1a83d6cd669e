import { type SyntheticEvent, useState } from "react";
import { dateTime, utc } from "../format";
import { type RangeSearch, type SpanName, iso, spanLabels, spanNames, toLocalInput } from "../time/range";
import { Panel } from "./Panel";

interface TimeRangePickerProps {
  range: RangeSearch;
  onChange: (range: RangeSearch) => void;
}

/** Selects the time range of the charts: a span up to now, or a custom range. */
export function TimeRangePicker({ range, onChange }: TimeRangePickerProps) {
  const selected: SpanName | undefined = range.from ? undefined : (range.span ?? "1h");
  const label = range.from && range.to ? `${dateTime(range.from)} – ${dateTime(range.to)}` : "Custom range";
  return (
    <div className="range" role="group" aria-label="Time range">
      {spanNames.map((name) => (
        <button
          key={name}
          type="button"
          className="choice"
          aria-pressed={selected === name}
          onClick={() => onChange(name === "1h" ? {} : { span: name })}
        >
          {spanLabels[name]}
        </button>
      ))}
      <Panel label={label} className={range.from ? "choice chosen" : "choice"}>
        <CustomRangeForm range={range} onChange={onChange} />
      </Panel>
    </div>
  );
}

function CustomRangeForm({ range, onChange }: TimeRangePickerProps) {
  const [from, setFrom] = useState(() => toLocalInput(range.from ? Date.parse(range.from) : Date.now() - 3_600_000));
  const [to, setTo] = useState(() => toLocalInput(range.to ? Date.parse(range.to) : Date.now()));
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  const valid = begin < end;
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (valid) onChange({ from: iso(begin), to: iso(end) });
  };
  return (
    <form onSubmit={submit}>
      <DateTimeField label="From" value={from} onChange={setFrom} />
      <DateTimeField label="To" value={to} onChange={setTo} />
      {!valid && <p className="wrong">The start must be before the end.</p>}
      <button type="submit" disabled={!valid}>
        Apply
      </button>
    </form>
  );
}

function DateTimeField(props: { label: string; value: string; onChange: (value: string) => void }) {
  const time = Date.parse(props.value);
  return (
    <div className="field">
      <label>
        {props.label}
        <input
          type="datetime-local"
          step="1"
          required
          value={props.value}
          onChange={(e) => props.onChange(e.target.value)}
          title={Number.isNaN(time) ? undefined : utc(time)}
        />
      </label>
    </div>
  );
}
