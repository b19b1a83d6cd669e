// Finds which parts of time buckets were measured.

/** A time span, in milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

/** The resolutions of charts, as the length of a bucket in milliseconds. It is 0 if every point is a snapshot. */
const widths: Record<string, number> = { raw: 0, "1m": 60_000, "1h": 3_600_000, "3h": 10_800_000, "1d": 86_400_000 };

/** Returns the length of a bucket in milliseconds. */
export const widthOf = (resolution: string | undefined): number => widths[resolution ?? "raw"] ?? 0;

export interface Bucket {
  /** The start of the bucket. */
  at: number;
  /** How much of the bucket was measured. It is more than its length if an interval began before the bucket. */
  measured: number;
  /** A missing time that is not longer is not a hole. */
  tolerance: number;
}

/** How much of a bucket is known: a complete one, an incomplete one, or none. */
type Completeness = 0 | 1 | 2;

/**
 * Returns the measured parts of each bucket. A bucket says how much of it was measured, but not which part. What is
 * missing is assumed to be at the side where less is known, or else in the middle. Buckets end now at the latest. A
 * bucket with no known neighbour begins at `first` if that is in it.
 */
export function measuredSpans(buckets: readonly Bucket[], width: number, now: number, first?: number): Span[][] {
  const reachOf = (bucket: Bucket | undefined) => Math.max(0, (bucket?.measured ?? 0) - width);
  const isNext = (a: Bucket | undefined, b: Bucket | undefined) => a !== undefined && b?.at === a.at + width;
  const all = buckets.map((bucket, i) => {
    const to = Math.max(bucket.at, Math.min(bucket.at + width, now));
    const next = buckets[i + 1];
    const measured = bucket.measured + (isNext(bucket, next) ? reachOf(next) : 0);
    return { ...bucket, to, missing: Math.max(0, to - bucket.at - measured) };
  });
  const completeness = (i: number, of: Bucket | undefined): Completeness => {
    const one = all[i];
    if (!one || !of) return 0;
    return one.missing <= one.tolerance ? 2 : 1;
  };
  return all.map(({ at, to, missing }, i) => {
    const [before, bucket, after] = [buckets[i - 1], buckets[i], buckets[i + 1]];
    if (completeness(i, bucket) === 2) {
      return [{ from: isNext(before, bucket) ? at : Math.max(at - reachOf(bucket), all[i - 1]?.to ?? -Infinity), to }];
    }
    const left = isNext(before, bucket) ? completeness(i - 1, before) : 0;
    const right = isNext(bucket, after) ? completeness(i + 1, after) : 0;
    const measured = to - at - missing;
    if (left > right) return [{ from: at, to: at + measured }];
    if (left < right) return [{ from: to - measured, to }];
    if (left === 2) {
      return [
        { from: at, to: at + measured / 2 },
        { from: to - measured / 2, to },
      ];
    }
    const from = left === 1 ? at + missing / 2 : Math.min(to - measured, Math.max(at, first ?? at));
    return [{ from, to: from + measured }];
  });
}

/** Returns the measured parts of a bucket that the API lists, or undefined if it lists none. */
export function measuredIn(
  measured: readonly { from: string; to: string }[] | undefined,
  bucket: Span,
): Span[] | undefined {
  const spans = measured?.map(({ from, to }) => ({
    from: Math.max(Date.parse(from), bucket.from),
    to: Math.min(Date.parse(to), bucket.to),
  }));
  return spans?.filter(({ from, to }) => from < to);
}

/** Returns what remains of spans without the gaps. Both are in order. */
export function without(spans: readonly Span[], gaps: readonly Span[]): Span[] {
  return spans.flatMap(({ from, to }) => {
    const parts: Span[] = [];
    let start = from;
    for (const gap of gaps) {
      if (gap.to <= start || gap.from >= to) continue;
      if (gap.from > start) parts.push({ from: start, to: gap.from });
      start = gap.to;
    }
    if (start < to || (start === from && from === to)) parts.push({ from: start, to });
    return parts;
  });
}
