import { useState } from "react";
import { utc } from "../format";
import { clockTime, fromLocalInput, instantsOf, toLocalInput, zoneName } from "../time/zone";

interface LocalTimeInputProps {
  label: string;
  /** Whether the label is only for screen readers. */
  hideLabel?: boolean;
  /** The instant in milliseconds since 1970. */
  value: number;
  /** Called with a complete, valid time. */
  onChange: (ms: number) => void;
}

/**
 * An input for a date and time in the time zone of the user, to the second. The instant does not change until the user
 * edits the text. If the time occurs twice because clocks go back, the user can choose one of the two.
 */
export function LocalTimeInput({ label, hideLabel = false, value, onChange }: LocalTimeInputProps) {
  const [text, setText] = useState(() => toLocalInput(value));
  const [lastValue, setLastValue] = useState(value);
  if (value !== lastValue) {
    setLastValue(value);
    setText(toLocalInput(value));
  }
  const change = (changed: string) => {
    setText(changed);
    const ms = fromLocalInput(changed, value);
    if (!Number.isNaN(ms)) onChange(ms);
  };
  const instants = instantsOf(clockTime(value));
  const input = (
    <input
      type="datetime-local"
      step="1"
      required
      aria-label={hideLabel ? label : undefined}
      title={utc(value)}
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
