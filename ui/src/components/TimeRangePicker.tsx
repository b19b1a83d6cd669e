import { type SyntheticEvent, useState } from "react";
import { dateTime } from "../format";
import { type RangeSearch, type SpanName, type TimeWindow, iso, spanLabels, spanNames } from "../time/range";
import { LocalTimeInput } from "./LocalTimeInput";
import { Panel } from "./Panel";

interface TimeRangePickerProps {
  range: RangeSearch;
  /** What the page shows. The fields of a custom range begin with it. */
  window: TimeWindow;
  onChange: (range: RangeSearch) => void;
}

/** Selects the time range of the charts: a span up to now, or a custom range. */
export function TimeRangePicker({ range, window, onChange }: TimeRangePickerProps) {
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
        <CustomRangeForm window={window} onChange={onChange} />
      </Panel>
    </div>
  );
}

function CustomRangeForm({ window, onChange }: Pick<TimeRangePickerProps, "window" | "onChange">) {
  const [from, setFrom] = useState(window.from);
  const [to, setTo] = useState(window.to);
  const valid = from < to;
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (valid) onChange({ from: iso(from), to: iso(to) });
  };
  return (
    <form onSubmit={submit}>
      <div className="field">
        <LocalTimeInput label="From" value={from} onChange={setFrom} />
      </div>
      <div className="field">
        <LocalTimeInput label="To" value={to} onChange={setTo} />
      </div>
      {!valid && <p className="wrong">The start must be before the end.</p>}
      <button type="submit" disabled={!valid}>
        Apply
      </button>
    </form>
  );
}
