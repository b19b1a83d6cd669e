// Time ranges in URLs, and the time windows of charts.

export const spans = { "1h": 3_600_000, "3h": 10_800_000, "1d": 86_400_000, "1w": 604_800_000 } as const;
export type SpanName = keyof typeof spans;
export const spanNames = Object.keys(spans) as SpanName[];
export const spanLabels: Record<SpanName, string> = { "1h": "Hour", "3h": "3 hours", "1d": "Day", "1w": "Week" };

/** How late the clock of a page can be, in milliseconds: useNow updates it so often. */
const clockDelay = 15_000;

/** A range in a URL: a span up to now, or two instants (RFC 3339). The default is the last hour. */
export interface RangeSearch {
  span?: SpanName | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

/** A range in milliseconds since 1970. It is moving if it ends now. */
export interface TimeWindow {
  from: number;
  to: number;
  moving: boolean;
}

/** Reports whether an instant can be written in RFC 3339: the year has four digits. */
export const isWritable = (ms: number): boolean =>
  ms >= Date.parse("0000-01-01T00:00:00Z") && ms <= Date.parse("9999-12-31T23:59:59.999Z");

/**
 * Parses an instant in RFC 3339 or in milliseconds since 1970, which Grafana uses in links.
 * Returns undefined for any other value.
 */
export function parseInstant(value: unknown): string | undefined {
  const time = typeof value === "number" ? value : typeof value === "string" ? Date.parse(value) : Number.NaN;
  return isWritable(time) ? new Date(time).toISOString() : undefined;
}

/** Formats milliseconds since 1970 as RFC 3339. */
export const iso = (ms: number): string => new Date(ms).toISOString();

/** Parses the range in a URL. Invalid values are ignored. */
export function parseRange({ span, from, to }: Record<string, unknown>): RangeSearch {
  const [begin, end] = [parseInstant(from), parseInstant(to)];
  if (begin && end && begin < end) return { span: undefined, from: begin, to: end };
  const isKnown = spanNames.includes(span as SpanName) && span !== "1h";
  return { span: isKnown ? (span as SpanName) : undefined, from: undefined, to: undefined };
}

/** Returns the window of a range. If the selected instant is before the window, the window is centered on it. */
export function resolveWindow(range: RangeSearch, now: number, at?: number): TimeWindow {
  if (range.from && range.to) return { from: Date.parse(range.from), to: Date.parse(range.to), moving: false };
  const span = spans[range.span ?? "1h"];
  if (at !== undefined && at < now - span) return { from: at - span / 2, to: at + span / 2, moving: false };
  return { from: now - span, to: now, moving: at === undefined };
}

/** The range of a window that is zoomRange to; never shorter than ten seconds. */
export function zoomRange(from: number, to: number): RangeSearch {
  const middle = (from + to) / 2;
  const half = Math.max((to - from) / 2, 5000);
  return { from: iso(middle - half), to: iso(middle + half) };
}

/**
 * Returns where the live view is in a window: at its end if it ends now, before its end if it ends in the future, and
 * nowhere if it ended earlier. A window that ends two intervals between snapshots before now still ends now.
 */
export function liveEnd({ to, moving }: TimeWindow, now: number, intervalMs: number) {
  const late = 2 * Math.max(intervalMs, 1000);
  const endsNow = moving || (to >= now - late && to <= now + clockDelay);
  return { live: endsNow ? to : to > now ? now : undefined, endsNow };
}
