// Parses the search box: a text, then a time in the time zone of the user.
// Examples: "postgres yesterday at 3", "nginx 2 h ago", "java last week".

/** An instant or a window, in milliseconds since 1970. */
type SearchTime = { at: number } | { from: number; to: number };

export interface ParsedSearch {
  text: string;
  time: SearchTime;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const week = 7 * day;

const units = new Map([
  ["s", second],
  ["sec", second],
  ["second", second],
  ["m", minute],
  ["min", minute],
  ["minute", minute],
  ["h", hour],
  ["hour", hour],
  ["d", day],
  ["day", day],
  ["w", week],
  ["week", week],
]);
const unitMs = (name: string) => units.get(name) ?? 0;
const weekdays = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

// Parts of the patterns below. Longer units come first, so that "min" is not read as "m".
const unitPattern = `(${[...units.keys()].sort((a, b) => b.length - a.length).join("|")})s?`;
const dayPattern = `(?:on\\s+)?(today|yesterday|${weekdays.join("|")}|\\d{4}-\\d{2}-\\d{2})`;
const clockPattern = "(?:at\\s+)?(\\d{1,2})(?::(\\d{2})(?::(\\d{2}))?)?\\s*(am|pm)?";

type Parser = (groups: string[], now: number) => SearchTime | undefined;

/** Patterns for the end of the text, in order of precedence. A parser returns undefined for an invalid time. */
const formats: [pattern: string, parse: Parser][] = [
  ["(\\d{4}-\\d{2}-\\d{2}t\\S+)", ([iso = ""]) => instant(Date.parse(iso.toUpperCase()))],
  [
    `${dayPattern}(?:\\s+|,\\s*)${clockPattern}`,
    ([name = "", ...clock], now) => instant(timeOn(dayOf(name, now), clock)),
  ],
  [dayPattern, ([name = ""], now) => wholeDay(dayOf(name, now), now)],
  [`(\\d+(?:\\.\\d+)?)\\s*${unitPattern}\\s+ago`, ([n, unit = ""], now) => instant(now - Number(n) * unitMs(unit))],
  [
    `(?:in\\s+the\\s+|the\\s+)?last\\s+(?:(\\d+(?:\\.\\d+)?)\\s*)?${unitPattern}`,
    ([n = "1", unit = ""], now) => ({ from: now - Number(n) * unitMs(unit), to: now }),
  ],
  ["now", (_, now) => instant(now)],
  ["(?:at\\s+)(\\d{1,2})()()\\s*(am|pm)?", (clock, now) => instant(latest(clock, now))],
  ["(?:at\\s+)?(\\d{1,2}):(\\d{2})(?::(\\d{2}))?\\s*(am|pm)?", (clock, now) => instant(latest(clock, now))],
  ["(\\d{1,2})()()\\s*(am|pm)", (clock, now) => instant(latest(clock, now))],
];

const parsers = formats.map(([pattern, parse]): [RegExp, Parser] => [new RegExp(`(?:^|\\s)${pattern}$`, "i"), parse]);

/** Parses a search. Without a time, it covers the last 24 hours. */
export function parseSearch(input: string, now: number): ParsedSearch {
  const text = input.trim();
  for (const [pattern, parse] of parsers) {
    const match = pattern.exec(text);
    if (!match) continue;
    // Optional groups are undefined, whatever the type says. Parsers replace them by a default.
    const groups = match.slice(1).map((group: string | undefined) => group?.toLowerCase()) as string[];
    const time = parse(groups, now);
    if (time) return { text: text.slice(0, match.index).trim(), time };
  }
  return { text, time: { from: now - day, to: now } };
}

const instant = (at: number | undefined) => (at === undefined || Number.isNaN(at) ? undefined : { at });

/** Returns the start of a day; undefined for a date that does not exist. A weekday is the last one before today. */
function dayOf(name: string, now: number): Date | undefined {
  const date = new Date(now);
  date.setHours(0, 0, 0, 0);
  const weekday = weekdays.indexOf(name);
  if (weekday >= 0) {
    date.setDate(date.getDate() - (((date.getDay() - weekday + 6) % 7) + 1));
  } else if (name === "yesterday") {
    date.setDate(date.getDate() - 1);
  } else if (name !== "today") {
    const [year = 0, month = 0, dayOfMonth = 0] = name.split("-").map(Number);
    date.setFullYear(year, month - 1, dayOfMonth);
    if (date.getMonth() !== month - 1 || date.getDate() !== dayOfMonth) return undefined;
  }
  return date;
}

/** Returns the window of a day up to now; undefined if the day is in the future. */
function wholeDay(start: Date | undefined, now: number): { from: number; to: number } | undefined {
  if (!start || start.getTime() >= now) return undefined;
  const end = new Date(start);
  end.setDate(end.getDate() + 1);
  return { from: start.getTime(), to: Math.min(end.getTime(), now) };
}

/** Returns the time of day given by hours, minutes, seconds, and am or pm; undefined if it is invalid. */
function timeOn(date: Date | undefined, [h, m, s, half]: (string | undefined)[]): number | undefined {
  let hours = Number(h);
  const [minutes, seconds] = [Number(m ?? 0), Number(s ?? 0)];
  if (!date || hours > (half ? 12 : 23) || minutes > 59 || seconds > 59) return undefined;
  if (half) hours = (hours % 12) + (half === "pm" ? 12 : 0);
  return new Date(date).setHours(hours, minutes, seconds, 0);
}

/** Returns the latest past occurrence of a time of day: today or yesterday. */
function latest(clock: (string | undefined)[], now: number): number | undefined {
  const at = timeOn(dayOf("today", now), clock);
  return at !== undefined && at > now ? timeOn(dayOf("yesterday", now), clock) : at;
}
