// The time zone of the user. When clocks go back, an hour occurs twice. When they go forward, an hour is skipped.

const minute = 60_000;
const day = 86_400_000;

/** The minutes are positive west of Greenwich, so that UTC is the local time plus the offset. */
const offset = (ms: number) => new Date(ms).getTimezoneOffset() * minute;

/**
 * Returns what clocks show at an instant, as the milliseconds since 1970 at which a clock in UTC shows the same.
 */
export const clockTime = (ms: number): number => ms - offset(ms);

/**
 * Returns the instants at which clocks show a time (see clockTime), the earliest first. There are two if the hour
 * occurs twice, and none if it is skipped.
 */
export function instantsOf(clock: number): number[] {
  const offsets = new Set([offset(clock - day), offset(clock + day)]);
  return [...offsets]
    .map((one) => clock + one)
    .filter((ms) => clockTime(ms) === clock)
    .sort((a, b) => a - b);
}

/** Reports whether clocks show the same time at another instant, too. */
export const occursTwice = (ms: number): boolean => instantsOf(clockTime(ms)).length > 1;

/** Reports whether clocks are set in a range or within three hours of it. */
export const clocksChange = (from: number, to: number): boolean => offset(from - day / 8) !== offset(to + day / 8);

/** Returns the name of the time zone at an instant, such as CEST or GMT+2. */
export function zoneName(ms: number, locale?: string): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZoneName: "short" }).formatToParts(ms);
  return parts.find(({ type }) => type === "timeZoneName")?.value ?? "";
}

/** The largest distance of a time zone from UTC, in minutes. All offsets are whole quarters of an hour. */
const largestOffset = 14 * 60;

/** Returns the time zone of a label such as GMT+2, UTC or CEST, in milliseconds east of UTC; undefined if none. */
export function zoneOffset(label: string, near: number): number | undefined {
  const text = label.toLowerCase();
  const [, sign, hours = "0", minutes = "0"] =
    /^(?:utc|gmt|z)?(?:([+\u2212-])(\d{1,2})(?::?(\d{2}))?)?$/.exec(text) ?? [];
  if (sign !== undefined) {
    const east = (sign === "+" ? 1 : -1) * (Number(hours) * 60 + Number(minutes));
    return Number(minutes) > 59 || east % 15 !== 0 || Math.abs(east) > largestOffset ? undefined : east * minute;
  }
  if (text === "utc" || text === "gmt" || text === "z") return 0;
  const quarters = [0, 1, 2, 3].map((n) => near - n * 91 * day);
  const match = quarters.find((ms) =>
    [undefined, "en-US", "en-GB"].some((locale) => zoneName(ms, locale).toLowerCase() === text),
  );
  return match === undefined ? undefined : -offset(match);
}

/** Returns the name of the zone with a space before it, if the time is ambiguous without it. */
export const zoneSuffix = (ms: number): string => (occursTwice(ms) ? ` ${zoneName(ms)}` : "");

/** Formats an instant as the value of a datetime-local input, to the second. */
export const toLocalInput = (ms: number): string => new Date(clockTime(ms)).toISOString().slice(0, 19);

/**
 * Parses the value of a datetime-local input that was filled with an instant. If the text is unchanged, the result is
 * this instant. If the time occurs twice, the result is the one in the time zone of the instant, or else the first. A
 * time that is skipped is moved forward. Returns NaN for an incomplete value.
 */
export function fromLocalInput(text: string, filled?: number): number {
  const clock = Date.parse(`${text}Z`);
  const instants = instantsOf(clock);
  if (filled === undefined) return instants[0] ?? Date.parse(text);
  if (clock === Math.floor(clockTime(filled) / 1000) * 1000) return filled;
  return instants.find((ms) => offset(ms) === offset(filled)) ?? instants[0] ?? Date.parse(text);
}

/** Formats an instant in RFC 3339 with the offset of the user's time zone, to the second or to the minute. */
export function toOffsetIso(ms: number, precision: "second" | "minute"): string {
  const minutes = -offset(ms) / minute;
  const pad = (n: number) => String(Math.trunc(Math.abs(n))).padStart(2, "0");
  const zone = `${minutes < 0 ? "-" : "+"}${pad(minutes / 60)}:${pad(minutes % 60)}`;
  return toLocalInput(ms).slice(0, precision === "second" ? 19 : 16) + zone;
}
