import { memo } from "react";

interface SparklineProps {
  values: readonly (number | null)[];
  /** The value at the full height, unless a value is larger. */
  top?: number;
  label: string;
}

const height = 20;

/** Returns an SVG path. Every line starts with a short stroke, so that a single point is visible, too. */
function toPath(values: readonly (number | null)[], top: number): string {
  const max = Math.max(top, ...values.map((value) => value ?? 0)) || 1;
  let path = "";
  let drawing = false;
  values.forEach((value, x) => {
    if (value !== null) {
      const y = (height - 1 - (value / max) * (height - 2)).toFixed(1);
      path += drawing ? `L${x} ${y}` : `M${x} ${y}h.5`;
    }
    drawing = value !== null;
  });
  return path;
}

/** A small line chart without axes. */
export const Sparkline = memo(function Sparkline({ values, top = 0, label }: SparklineProps) {
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${Math.max(1, values.length - 1)} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path d={toPath(values, top)} vectorEffect="non-scaling-stroke" />
    </svg>
  );
});
