import { memo } from "react";

interface SparklineProps {
  values: readonly (number | null)[];
  /** The least that the line's height stands for. */
  top?: number;
  label: string;
}

const height = 20;

/** A small line: how something went lately. */
export const Sparkline = memo(function Sparkline({ values, top = 0, label }: SparklineProps) {
  const most = Math.max(top, ...values.map((value) => value ?? 0)) || 1;
  let path = "";
  let drawing = false;
  values.forEach((value, x) => {
    if (value === null) {
      drawing = false;
      return;
    }
    // Each begins with a little stroke: one that stands alone is seen too.
    path += `${drawing ? "L" : "M"}${x} ${(height - 1 - (value / most) * (height - 2)).toFixed(1)}${drawing ? "" : "h.5"}`;
    drawing = true;
  });
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${Math.max(1, values.length - 1)} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path d={path} vectorEffect="non-scaling-stroke" />
    </svg>
  );
});
