import { type FormEvent, useState } from "react";
import { moment, utc } from "../format";
import { type RangeSearch, type SpanName, iso, toLocalInput, spanLabels, spanNames } from "../time/range";
import { Panel } from "./Panel";

interface TimeRangePickerProps {
  range: RangeSearch;
  onChange: (range: RangeSearch) => void;
}

/** Which time charts show: an hour and so on until now, or any range. */
export function TimeRangePicker({ range, onChange }: TimeRangePickerProps) {
  const whole: SpanName | undefined = range.from ? undefined : (range.span ?? "1h");
  return (
    <div className="range" role="group" aria-label="Range">
      {spanNames.map((name) => (
        <button
          key={name}
          type="button"
          className="choice"
          aria-pressed={whole === name}
          onClick={() => onChange(name === "1h" ? {} : { span: name })}
        >
          {spanLabels[name]}
        </button>
      ))}
      <Panel
        label={range.from && range.to ? `${moment(range.from)} – ${moment(range.to)}` : "Any range"}
        className={range.from ? "choice chosen" : "choice"}
      >
        <Custom range={range} onChange={onChange} />
      </Panel>
    </div>
  );
}

function Custom({ range, onChange }: TimeRangePickerProps) {
  const [from, setFrom] = useState(toLocalInput(range.from ? Date.parse(range.from) : Date.now() - 3_600_000));
  const [to, setTo] = useState(toLocalInput(range.to ? Date.parse(range.to) : Date.now()));
  const [begin, end] = [Date.parse(from), Date.parse(to)];
  const valid = begin < end;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (valid) onChange({ from: iso(begin), to: iso(end) });
  };
  return (
    <form onSubmit={submit}>
      {(
        [
          ["From", from, setFrom],
          ["To", to, setTo],
        ] as const
      ).map(([label, value, set]) => (
        <div key={label} className="field">
          <label>
            {label}
            <input
              type="datetime-local"
              step="1"
              required
              value={value}
              onChange={(e) => set(e.target.value)}
              title={value && !Number.isNaN(Date.parse(value)) ? utc(Date.parse(value)) : undefined}
            />
          </label>
        </div>
      ))}
      {!valid && <p className="wrong">The begin is not before the end.</p>}
      <button type="submit" disabled={!valid}>
        Show
      </button>
    </form>
  );
}
