import { useState } from "react";
import { utc } from "../format";
import { clockTime, fromLocalInput, instantsOf, toLocalInput, zoneName } from "../time/zone";

interface LocalTimeInputProps {
  label: string;
  /** Whether the label is only for screen readers. */
  hideLabel?: boolean;
  /** The instant in milliseconds since 1970; undefined if the field is empty. */
  value: number | undefined;
  /** Called with a complete, valid time. */
  onChange: (ms: number) => void;
  /** Called if the field is cleared. Without it, a value is required. */
  onClear?: () => void;
}

const format = (value: number | undefined) => (value === undefined ? "" : toLocalInput(value));

/**
 * An input for a date and time in the time zone of the user, to the second. The instant does not change until the user
 * edits the text. If the time occurs twice because clocks go back, the user can choose one of the two.
 */
export function LocalTimeInput({ label, hideLabel = false, value, onChange, onClear }: LocalTimeInputProps) {
  const [text, setText] = useState(() => format(value));
  const [lastValue, setLastValue] = useState(value);
  if (value !== lastValue) {
    setLastValue(value);
    setText(format(value));
  }
  const change = (changed: string) => {
    setText(changed);
    const ms = fromLocalInput(changed, value);
    if (!Number.isNaN(ms)) onChange(ms);
    else if (changed === "" && value !== undefined) onClear?.();
  };
  const instants = value === undefined ? [] : instantsOf(clockTime(value));
  const input = (
    <input
      type="datetime-local"
      step="1"
      required={!onClear}
      aria-label={hideLabel ? label : undefined}
      title={value === undefined ? undefined : utc(value)}
      value={text}
      onChange={(e) => change(e.target.value)}
    />
  );
  return (
    <>
      {hideLabel ? (
        input
      ) : (
        <label>
          {label}
          {input}
        </label>
      )}
      {instants.length > 1 && (
        <span className="range zone-choice" role="group" aria-label={`${label}: time zone`}>
          {instants.map((ms) => (
            <button
              key={ms}
              type="button"
              className="choice"
              aria-pressed={ms === value}
              title="The clocks go back, so this time occurs twice"
              onClick={() => onChange(ms)}
            >
              {zoneName(ms)}
            </button>
          ))}
        </span>
      )}
    </>
  );
}
