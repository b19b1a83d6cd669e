import { percent } from "../format";

/** A percentage as a bar and a number. */
export function Meter({ value, label }: { value: number | null; label: string }) {
  const width = value === null ? 0 : Math.min(100, Math.max(0, value));
  const level = width >= 90 ? "high" : width >= 70 ? "raised" : "normal";
  return (
    <span className="meter" title={label}>
      <span className="meter-bar" aria-hidden="true">
        <span className={`meter-fill ${level}`} style={{ width: `${width}%` }} />
      </span>
      <span className="number">{percent(value)}</span>
    </span>
  );
}
