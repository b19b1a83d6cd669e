// Days and durations as they are written in English, in lower case, with the patterns that match them.

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** The length of a unit in milliseconds. */
const units = new Map([
  ["s", second],
  ["sec", second],
  ["second", second],
  ["m", minute],
  ["min", minute],
  ["minute", minute],
  ["h", hour],
  ["hr", hour],
  ["hour", hour],
  ["d", day],
  ["day", day],
  ["w", 7 * day],
  ["week", 7 * day],
]);
/** The length of a unit of the calendar in months. */
const calendarUnits = new Map([
  ["month", 1],
  ["year", 12],
]);
const amounts = new Map([
  ["half a", 0.5],
  ["half an", 0.5],
  ["a", 1],
  ["an", 1],
]);
for (const [i, name] of ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"].entries())
  amounts.set(name, i + 1);

/** Returns alternatives. Longer ones come first, so that "min" is not read as "m". */
const oneOf = (names: Iterable<string>) => [...names].sort((a, b) => b.length - a.length).join("|");

const unit = `(?:${oneOf([...units.keys(), ...calendarUnits.keys()])})s?`;
const amount = `(?:\\d+(?:\\.\\d+)? ?|(?:${oneOf(amounts.keys())}) )`;
const longUnit = "(?:days?|d|weeks?|w|months?|years?)";

/** A duration, such as "5 min", "1h30m", "an hour" and "2 hours and 5 minutes". */
export const durationPattern = `${amount}${unit}(?:(?:,? and |, ?| )?${amount}${unit}){0,2}`;
/** A duration that may be just a unit, as in "last hour". */
export const lastPattern = `${durationPattern}|${unit}`;

const onlyUnit = new RegExp(`^${unit}$`);
const part = new RegExp(`(${amount})(${oneOf([...units.keys(), ...calendarUnits.keys()])})s?`, "g");

/** Returns the instant that is a duration before another one; NaN if there is none. */
export function before(now: number, duration: string): number {
  let at = now;
  const parts = onlyUnit.test(duration) ? `one ${duration}` : duration;
  for (const [, written = "", name = ""] of parts.matchAll(part)) {
    const n = amounts.get(written.trim()) ?? Number(written);
    const months = calendarUnits.get(name);
    at = months === undefined ? at - n * (units.get(name) ?? 0) : monthsBefore(at, n * months);
  }
  return at;
}

/** Returns the same time on the same day of an earlier month, or on its last day if it is shorter. */
function monthsBefore(at: number, months: number): number {
  if (!Number.isInteger(months)) return Number.NaN;
  const date = new Date(at);
  const dayOfMonth = date.getDate();
  date.setMonth(date.getMonth() - months);
  if (date.getDate() !== dayOfMonth) date.setDate(0);
  return date.getTime();
}

const weekdays = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** The name of a month, in full or short. */
export const monthPattern =
  "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?" +
  "|nov(?:ember)?|dec(?:ember)?)\\.?";
/** The short name of a weekday. */
export const shortWeekdayPattern = "(?:mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)";
export const weekdayPattern = `(?:${weekdays.join("|")})`;
const dayOfMonth = "\\d{1,2}(?:st|nd|rd|th)?";
const dates = [
  "\\d{4}-\\d{2}-\\d{2}",
  "\\d{4}/\\d{1,2}/\\d{1,2}",
  "\\d{1,2}\\.\\d{1,2}\\.(?:\\d{4})?",
  `(?:the )?${dayOfMonth} (?:of )?${monthPattern}(?:,? \\d{4})?`,
  `${monthPattern} ${dayOfMonth}(?:,? \\d{4})?`,
].join("|");

/** A day that is recognized without a time of day. */
export const dayPattern = `today|yesterday|(?:the )?day before yesterday|(?:last )?${weekdayPattern}|last ${shortWeekdayPattern}|${dates}`;
/** A day as it is written with a time of day, as in "2 days ago at 3". */
export const dayWithTimePattern = `${dayPattern}|${amount}${longUnit} ago`;

/** Reports whether a day is a weekday, which has no week. */
export const isWeekday = (name: string | undefined): boolean => weekdayOf(name ?? "") >= 0;

function weekdayOf(name: string): number {
  const text = name.replace(/^last /, "");
  return new RegExp(`^(?:${weekdayPattern}|${shortWeekdayPattern})$`).test(text)
    ? weekdays.findIndex((weekday) => weekday.startsWith(text.slice(0, 3)))
    : -1;
}

export interface CalendarDate {
  /** Without a year, it is the latest such day. */
  year: number | undefined;
  /** From 0. */
  month: number;
  day: number;
}

/**
 * Returns the start of a day that one of the patterns matches; undefined if it does not exist. A weekday is the last one
 * before today.
 */
export function parseDay(name: string, now: number): Date | undefined {
  const today = new Date(now);
  today.setHours(0, 0, 0, 0);
  const weekday = weekdayOf(name);
  if (weekday >= 0) return addDays(today, -(((today.getDay() - weekday + 6) % 7) + 1));
  if (name === "today") return today;
  if (name === "yesterday") return addDays(today, -1);
  if (name.endsWith("before yesterday")) return addDays(today, -2);
  if (name.endsWith(" ago")) {
    const at = before(today.getTime() + day / 2, name); // noon, so that it is the same day if clocks are set
    return Number.isNaN(new Date(at).getTime()) ? undefined : addDays(new Date(at), 0);
  }
  const date = parseDate(name);
  return date && calendarDay(date, now);
}

function parseDate(text: string): CalendarDate | undefined {
  const numbers = text.match(/\d+/g)?.map(Number) ?? [];
  const name = new RegExp(`(?<![a-z])${monthPattern}`).exec(text)?.[0];
  if (name !== undefined) {
    const [dayOfMonth = 0, year] = numbers;
    return { year, month: months.indexOf(name.slice(0, 3)), day: dayOfMonth };
  }
  const isDayFirst = text.includes(".");
  const [year, month = 0, dayOfMonth = 0] = isDayFirst ? [numbers[2], numbers[1], numbers[0]] : numbers;
  return { year, month: month - 1, day: dayOfMonth };
}

/** Returns the start of a day; undefined if it does not exist. */
export function calendarDay({ year, month, day: dayOfMonth }: CalendarDate, now: number): Date | undefined {
  const inYear = (one: number) => {
    const date = new Date(now);
    date.setFullYear(one, month, dayOfMonth);
    date.setHours(0, 0, 0, 0);
    return date.getMonth() === month && date.getDate() === dayOfMonth ? date : undefined;
  };
  if (year !== undefined) return inYear(year);
  const thisYear = new Date(now).getFullYear();
  return [thisYear, thisYear - 1].map(inYear).find((date) => date && date.getTime() <= now);
}

/** Returns the start of the day that is some days after that of a date. */
export function addDays(date: Date, days: number): Date {
  const result = new Date(date);
  result.setDate(result.getDate() + days);
  result.setHours(0, 0, 0, 0);
  return result;
}
