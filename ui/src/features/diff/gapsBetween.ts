// Combines the gaps of a long range: the middle in buckets, and both ends in a finer resolution.
import type { Gap } from "../../charts/gaps";
import type { Span } from "../../charts/spans";

/** A gap, and the length of the buckets that it was found in. */
export interface GapBetween extends Gap {
  width: number;
}

/** The parts of a range that begin and end inside a bucket, and the buckets between them. */
export interface RangeParts {
  start: Span;
  middle: Span;
  end: Span;
}

/** Returns the parts of a range. Both ends are empty if the range has no bucket as a whole. */
export function partsOf({ from, to }: Span, width: number): RangeParts {
  const [first, last] = width > 0 ? [Math.ceil(from / width) * width, Math.floor(to / width) * width] : [from, to];
  if (first > last) return { start: { from, to: from }, middle: { from, to }, end: { from: to, to } };
  return { start: { from, to: first }, middle: { from: first, to: last }, end: { from: last, to } };
}

/** Joins gaps that touch each other. */
export function join(gaps: readonly GapBetween[]): GapBetween[] {
  const out: GapBetween[] = [];
  for (const gap of gaps) {
    const before = out.at(-1);
    if (before && gap.from <= before.to) {
      out[out.length - 1] = { ...before, to: gap.to, width: Math.max(before.width, gap.width) };
    } else out.push(gap);
  }
  return out;
}
