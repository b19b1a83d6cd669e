// Reads what people type into the search box: what they look for, and then when:
// "postgres yesterday at 3", "nginx 2 h ago", "java last week". Times are the viewer's.

/** What was asked for: at an instant, or in a window, in milliseconds since 1970. */
export interface ParsedSearch {
  text: string;
  at?: number;
  from?: number;
  to?: number;
}

const second = 1000;
const units: Record<string, number> = {
  s: second,
  sec: second,
  second: second,
  m: 60 * second,
  min: 60 * second,
  minute: 60 * second,
  h: 3600 * second,
  hour: 3600 * second,
  d: 86400 * second,
  day: 86400 * second,
  w: 604800 * second,
  week: 604800 * second,
};
const unit = `(${Object.keys(units)
  .sort((a, b) => b.length - a.length)
  .join("|")})s?`;
const weekdays = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const day = `(?:on\\s+)?(today|yesterday|${weekdays.join("|")}|\\d{4}-\\d{2}-\\d{2})`;
const clock = "(?:at\\s+)?(\\d{1,2})(?::(\\d{2})(?::(\\d{2}))?)?\\s*(am|pm)?";

type Reader = (found: string[], now: number) => Omit<ParsedSearch, "text"> | undefined;

/** Each is tried at the end of what was typed, the first that fits counts. */
const forms: [string, Reader][] = [
  ["(\\d{4}-\\d{2}-\\d{2}t\\S+)", ([iso = ""]) => instant(Date.parse(iso.toUpperCase()))],
  [`${day}(?:\\s+|,\\s*)${clock}`, ([name = "", ...time], now) => instant(timeOn(dayOf(name, now), time))],
  [day, ([name = ""], now) => wholeDay(dayOf(name, now), now)],
  [`(\\d+(?:\\.\\d+)?)\\s*${unit}\\s+ago`, ([n, of = ""], now) => instant(now - Number(n) * (units[of] ?? 0))],
  [
    `(?:in\\s+the\\s+|the\\s+)?last\\s+(?:(\\d+(?:\\.\\d+)?)\\s*)?${unit}`,
    ([n = "1", of = ""], now) => ({ from: now - Number(n) * (units[of] ?? 0), to: now }),
  ],
  ["now", (_, now) => instant(now)],
  ["(?:at\\s+)(\\d{1,2})()()\\s*(am|pm)?", (time, now) => instant(latest(time, now))],
  ["(?:at\\s+)?(\\d{1,2}):(\\d{2})(?::(\\d{2}))?\\s*(am|pm)?", (time, now) => instant(latest(time, now))],
  ["(\\d{1,2})()()\\s*(am|pm)", (time, now) => instant(latest(time, now))],
];

const readers = forms.map(([form, read]): [RegExp, Reader] => [new RegExp(`(?:^|\\s)${form}$`, "i"), read]);

/** Without a time it is the last day. */
export function parseSearch(typed: string, now: number): ParsedSearch {
  const text = typed.trim();
  for (const [form, read] of readers) {
    const found = form.exec(text);
    const when =
      found &&
      read(
        found.slice(1).map((part) => part?.toLowerCase()),
        now,
      );
    if (when) return { text: text.slice(0, found.index).trim(), ...when };
  }
  return { text, from: now - (units.day ?? 0), to: now };
}

const instant = (at: number | undefined) => (at === undefined || Number.isNaN(at) ? undefined : { at });

/** The midnight at which a day begins. */
function dayOf(name: string, now: number): Date | undefined {
  const date = new Date(now);
  date.setHours(0, 0, 0, 0);
  const weekday = weekdays.indexOf(name);
  if (weekday >= 0) {
    date.setDate(date.getDate() - ((date.getDay() - weekday + 7) % 7 || 7));
  } else if (name === "yesterday") {
    date.setDate(date.getDate() - 1);
  } else if (name !== "today") {
    const [year = 0, month = 0, of = 0] = name.split("-").map(Number);
    date.setFullYear(year, month - 1, of);
    if (date.getMonth() !== month - 1 || date.getDate() !== of) return undefined;
  }
  return date;
}

function wholeDay(begin: Date | undefined, now: number): { from: number; to: number } | undefined {
  if (!begin || begin.getTime() >= now) return undefined;
  const end = new Date(begin);
  end.setDate(end.getDate() + 1);
  return { from: begin.getTime(), to: Math.min(end.getTime(), now) };
}

/** A time of a day: hours, minutes, seconds, and am or pm. */
function timeOn(date: Date | undefined, [h, m, s, half]: (string | undefined)[]): number | undefined {
  let hours = Number(h);
  const [minutes, seconds] = [Number(m || 0), Number(s || 0)];
  if (!date || hours > (half ? 12 : 23) || minutes > 59 || seconds > 59) return undefined;
  if (half) hours = (hours % 12) + (half === "pm" ? 12 : 0);
  return new Date(date).setHours(hours, minutes, seconds, 0);
}

/** A time of today, or of yesterday if it is still to come. */
function latest(time: (string | undefined)[], now: number): number | undefined {
  const at = timeOn(dayOf("today", now), time);
  return at !== undefined && at > now ? timeOn(dayOf("yesterday", now), time) : at;
}
