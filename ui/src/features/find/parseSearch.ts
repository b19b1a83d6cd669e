// Parses the search box: a text, then a time in the time zone of the user.
// Examples: "postgres yesterday at 3", "nginx 2 h ago", "java from 15:48 to 15:50", "java since nov 25".
import {
  addDays,
  before,
  calendarDay,
  dayPattern,
  dayWithTimePattern,
  durationPattern,
  isWeekday,
  lastPattern,
  parseDay,
  shortWeekdayPattern,
} from "../../time/english";
import { type PrintedTime, parsePrinted } from "../../time/printed";
import { isWritable } from "../../time/range";
import { instantsOf, zoneOffset } from "../../time/zone";
import { findTimeWords } from "./timeWords";

/** An instant or a window, in milliseconds since 1970. */
export type SearchTime = { at: number } | { from: number; to: number };

/**
 * Why the time is not exactly what was typed: at that time, the clocks of the user's time zone are set.
 *
 * repeated: the time occurs twice. `shown` is the one that is searched, and `other` the other one.
 * covered: a start or an end of a range occurs twice. The range includes both.
 * skipped: the time does not exist. `shown` is the time that is searched instead.
 */
export type ClockChange =
  | { kind: "repeated"; shown: number; other: number; precision: "minute" | "second" }
  | { kind: "covered"; shown: number }
  | { kind: "skipped"; shown: number };

export interface ParsedSearch {
  text: string;
  time: SearchTime;
  clockChange?: ClockChange;
  /** A part of the text that looks like a time, but could not be understood. */
  unparsed?: string | undefined;
}

const second = 1000;
const minute = 60 * second;
const day = 86_400 * second;

/** A time of day. Without seconds, it is a minute. */
interface Clock {
  hours: number;
  minutes: number;
  seconds: number | undefined;
  half: "am" | "pm" | undefined;
  milliseconds?: number;
  /** The time zone, in milliseconds east of UTC; undefined for that of the user. */
  zone?: number | undefined;
}

/** A time in a phrase: an instant, a minute around an instant, or a day, a time of day or both. */
type Point =
  | { kind: "instant"; at: number }
  | { kind: "about"; at: number }
  | { kind: "clock"; date: Date | undefined; clock: Clock; weekday?: boolean }
  | { kind: "day"; date: Date; weekday?: boolean };

// Parts of the patterns below.
const wholeDayPattern = `(?:on )?(${dayPattern})`;
const timedDayPattern = `(?:on )?(${dayWithTimePattern})`;
const anyDayPattern = `(?:on )?(${dayWithTimePattern}|${shortWeekdayPattern})`;
const atPattern = "(?:(?:at|around|about) )?";
const anyClock = `${atPattern}(\\d{1,2})(?::(\\d{2})(?::(\\d{2}))?)?(?: ?(am|pm))?`;
/** A time of day that is not just a number. */
const strictClocks = [
  "at (\\d{1,2})()()(?: ?(am|pm))?",
  `${atPattern}(\\d{1,2}):(\\d{2})(?::(\\d{2}))?(?: ?(am|pm))?`,
  `${atPattern}(\\d{1,2})()() ?(am|pm)`,
];
const isoPattern = "(\\d{4}-\\d{2}-\\d{2})[t ](\\d{2}):(\\d{2})(?::(\\d{2})(\\.\\d+)?)?(z|[+-]\\d{2}:?\\d{2})?";

type Groups = readonly (string | undefined)[];
type Parser = (groups: Groups, now: number) => Point | undefined;

const dayAndClock: Parser = ([name, ...clock], now) => onDay(name, clock, now);
const clockAndDay: Parser = ([h, m, s, half, name], now) => onDay(name, [h, m, s, half], now);

const points = (
  [
    [isoPattern, parseIso],
    [wholeDayPattern, ([name], now) => wholeDay(name, now)],
    [`on (${shortWeekdayPattern})`, ([name], now) => wholeDay(name, now)],
    [`${timedDayPattern}[ ,] ?${anyClock}`, dayAndClock],
    ...strictClocks.flatMap((clock): [string, Parser][] => [
      [`${anyDayPattern}[ ,] ?${clock}`, dayAndClock],
      [`${clock},? ${anyDayPattern}`, clockAndDay],
      [clock, timeOfDay],
    ]),
    [`(${durationPattern}) ago`, ([duration = ""], now) => about(before(now, duration))],
    ["(?:just |right )?now", (_, now) => ({ kind: "instant", at: now })],
  ] as [string, Parser][]
).map(([pattern, parse]): [RegExp, Parser] => [new RegExp(`^${pattern}$`), parse]);

const bareClock = new RegExp(`^${anyClock}$`);
const shortWeekday = new RegExp(`^${shortWeekdayPattern}$`);
const lastSpan = new RegExp(`^(?:(?:in|during|over|within|for) )?(?:the )?(?:last|past|previous) (${lastPattern})$`);
const rangeStart = new RegExp(`^(?:${anyDayPattern},? )?(?:between|from) `);
const rangeToNow = /^(?:ever )?(since|after) (.+)$/;
const dashedClocks = new RegExp(`^(?:${strictClocks.join("|")}) -\\d{1,2}:\\d{2}$`);
const dashedPoints = /^(.+?)(?<!\dt\d{2}:\d{2}| ?[ap]m) ?-\d{1,2}:\d{2}$/;
const rangeSeparator = / (?:and|to|until|till) | ?[-–] ?/g;

/** Parses a search. Without a time, it covers the last 24 hours. */
export function parseSearch(input: string, now: number): ParsedSearch {
  const text = input.trim();
  // The time is as long as possible, so try to begin with each word from the left.
  for (const { index } of text.matchAll(/\S+/g)) {
    const phrase = normalize(text.slice(index));
    const point = isDashedRange(phrase, now) ? undefined : parsePoint(phrase, now);
    const found =
      resolvePoint(point, now) ?? parseSpan(phrase, now) ?? parseRange(phrase, now) ?? parseRangeToNow(phrase, now);
    if (!found || !isSearchable(found.time)) continue;
    const name = text.slice(0, index).trim();
    return { text: name, ...found, unparsed: findTimeWords(name, true) };
  }
  return { text, time: { from: now - day, to: now }, unparsed: findTimeWords(text, false) };
}

/** Returns a phrase in lower case, with single spaces, and with names of times of day as numbers. */
function normalize(phrase: string): string {
  const text = phrase.toLowerCase().replace(/\s+/g, " ");
  return text.includes(" ")
    ? text.replace(/(?<=^| )noon(?= |$)/g, "12:00").replace(/(?<=^| )midnight(?= |$)/g, "0:00")
    : text;
}

/**
 * Reports whether a phrase is a range whose end could be a time zone: "6:00 -7:00", or after a day a minute such as
 * "2026-11-20 9:00 -10:00". After a day, a time with T, seconds, am or pm has a time zone.
 */
function isDashedRange(phrase: string, now: number): boolean {
  if (dashedClocks.test(phrase)) return true;
  const start = dashedPoints.exec(phrase)?.[1];
  const point = start === undefined ? undefined : parsePoint(start, now);
  return point?.kind === "clock" && point.clock.seconds === undefined && point.clock.zone === undefined;
}

/** Reports whether the API can be asked for a time. */
const isSearchable = (time: SearchTime) =>
  "at" in time ? isWritable(time.at) : isWritable(time.from) && isWritable(time.to);

type Resolved = Pick<ParsedSearch, "time" | "clockChange">;

function parsePoint(phrase: string, now: number): Point | undefined {
  const point = parsePhrase(phrase, now) ?? printedPoint(parsePrinted(phrase), now);
  if (point) return point;
  // A time of day may have the label of a time zone after it.
  const space = phrase.lastIndexOf(" ");
  const rest = phrase.slice(0, Math.max(0, space));
  const local = parsePhrase(rest, now) ?? printedPoint(parsePrinted(rest), now);
  if (local?.kind !== "clock") return undefined;
  const zone = zoneOffset(phrase.slice(space + 1), (local.date ?? new Date(now)).getTime());
  return zone === undefined ? undefined : { ...local, clock: { ...local.clock, zone } };
}

/** Returns the point of a time that is written as pages print it. */
function printedPoint(printed: PrintedTime | undefined, now: number): Point | undefined {
  if (!printed) return undefined;
  const date = printed.date && calendarDay(printed.date, now);
  if (printed.date && !date) return undefined;
  if (printed.clock) return { kind: "clock", date, clock: { ...printed.clock, half: undefined } };
  return date && { kind: "day", date };
}

function parsePhrase(phrase: string, now: number): Point | undefined {
  for (const [pattern, parse] of points) {
    const groups = pattern.exec(phrase);
    const point = groups && parse(groups.slice(1), now);
    if (point) return point;
  }
  return undefined;
}

function parseSpan(phrase: string, now: number): Resolved | undefined {
  const duration = lastSpan.exec(phrase)?.[1];
  return duration === undefined ? undefined : { time: { from: before(now, duration), to: now } };
}

/** Parses "since A" and "after A". */
function parseRangeToNow(phrase: string, now: number): Resolved | undefined {
  const [, word, rest = ""] = rangeToNow.exec(phrase) ?? [];
  // After "since", a number is a time of day.
  const start = word === undefined ? undefined : parsePart(rest, word === "since", now);
  const range = start && resolveRange(start, { kind: "instant", at: now }, now);
  return range && "to" in range.time && range.time.to === now ? range : undefined;
}

/** Parses a start or an end of a range. A plain number is a time of day, and a short name a weekday, if they can be. */
function parsePart(part: string, canBePlain: boolean, now: number): Point | undefined {
  const point = parsePoint(part, now);
  if (point || !canBePlain) return point;
  return shortWeekday.test(part) ? wholeDay(part, now) : timeOfDay(bareClock.exec(part)?.slice(1) ?? []);
}

/** Parses "between A and B", "from A to B", both also after a day, and "A to B" and "A-B". */
function parseRange(phrase: string, now: number): Resolved | undefined {
  const start = rangeStart.exec(phrase);
  const date = start?.[1] === undefined ? undefined : parseDay(start[1], now);
  if (start?.[1] !== undefined && !date) return undefined;
  const rest = start ? phrase.slice(start[0].length) : phrase;
  const parse = (part: string) => parsePart(part, start !== null, now);
  for (const separator of rest.matchAll(rangeSeparator)) {
    const left = parse(rest.slice(0, separator.index));
    const right = left && parse(rest.slice(separator.index + separator[0].length));
    if (right) return resolveRange(withDate(left, date), withDate(right, date), now);
  }
  return undefined;
}

const withDate = (point: Point, date: Date | undefined): Point =>
  point.kind === "clock" && date ? { ...point, date: point.date ?? date } : point;

/** Returns a minute around an instant; undefined if no date can have it. */
const about = (at: number): Point | undefined => (isWritable(at) ? { kind: "about", at } : undefined);

function timeOfDay(groups: Groups): Point | undefined {
  const clock = parseClock(groups);
  return clock && { kind: "clock", date: undefined, clock };
}

function wholeDay(name: string | undefined, now: number): Point | undefined {
  const date = parseDay(name ?? "", now);
  return date && { kind: "day", date, weekday: isWeekday(name) };
}

function onDay(name: string | undefined, groups: Groups, now: number): Point | undefined {
  const [date, clock] = [parseDay(name ?? "", now), parseClock(groups)];
  return date && clock && { kind: "clock", date, clock, weekday: isWeekday(name) };
}

function parseIso([date, h, m, s, fraction = "", zone]: Groups): Point | undefined {
  if (!zone) return withMilliseconds(onDay(date, [h, m, s], 0), Number(`0${fraction}`) * second);
  if (zoneOffset(zone, 0) === undefined) return undefined;
  const at = Date.parse(`${date ?? ""}T${h ?? ""}:${m ?? ""}:${s ?? "00"}${fraction}${zone.toUpperCase()}`);
  if (Number.isNaN(at)) return undefined;
  return s === undefined ? { kind: "about", at: at + minute / 2 } : { kind: "instant", at };
}

const withMilliseconds = (point: Point | undefined, milliseconds: number): Point | undefined =>
  point?.kind === "clock" && milliseconds > 0 ? { ...point, clock: { ...point.clock, milliseconds } } : point;

/** Returns the time of day of hours, minutes, seconds, and am or pm; undefined if it is invalid. */
function parseClock([h, m, s, half]: Groups): Clock | undefined {
  const [hours, minutes, seconds] = [Number(h), Number(m ?? 0), s ? Number(s) : undefined];
  const isEndOfDay = hours === 24 && minutes === 0 && !seconds && !half;
  if (h === undefined || (hours > (half ? 12 : 23) && !isEndOfDay) || minutes > 59 || (seconds ?? 0) > 59)
    return undefined;
  return { hours, minutes, seconds, half: half === "am" || half === "pm" ? half : undefined };
}

/** A time of day on a date. There are two instants if clocks go back, and one that is moved if they go forward. */
interface Occurrence {
  first: number;
  last: number;
  skipped: boolean;
}

function occurrence(date: Date, { hours, minutes, seconds = 0, half, milliseconds = 0, zone }: Clock): Occurrence {
  const h = half ? (hours % 12) + (half === "pm" ? 12 : 0) : hours;
  const time = [h, minutes, seconds, milliseconds] as const;
  const clock = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate(), ...time);
  if (zone !== undefined) return { first: clock - zone, last: clock - zone, skipped: false };
  const moved = new Date(date).setHours(...time);
  const instants = instantsOf(clock);
  return { first: instants[0] ?? moved, last: instants.at(-1) ?? moved, skipped: instants.length === 0 };
}

/** Returns the day that it is at an instant in a time zone; undefined is that of the user. */
function dayAt(ms: number, zone: number | undefined): Date {
  if (zone === undefined) return new Date(new Date(ms).setHours(0, 0, 0, 0));
  const there = new Date(ms + zone);
  return new Date(there.getUTCFullYear(), there.getUTCMonth(), there.getUTCDate());
}

/** Returns the day of the latest past occurrence of a time of day: today or yesterday. */
function latestDay(clock: Clock, now: number): Date {
  const today = dayAt(now, clock.zone);
  return occurrence(today, clock).first > now ? addDays(today, -1) : today;
}

/** Ends a window that contains the present now. */
const untilNow = (from: number, to: number, now: number): SearchTime => ({
  from,
  to: from < now ? Math.min(to, now) : to,
});

/** Returns the instant or the window of a time that stands alone; undefined for a day in the future. */
function resolvePoint(point: Point | undefined, now: number): Resolved | undefined {
  if (!point) return undefined;
  switch (point.kind) {
    case "instant":
      return { time: { at: point.at } };
    case "about":
      return { time: untilNow(point.at - minute / 2, point.at + minute / 2, now) };
    case "day":
      if (point.date.getTime() >= now) return undefined;
      return { time: untilNow(point.date.getTime(), addDays(point.date, 1).getTime(), now) };
  }
  const { first, last, skipped } = occurrence(point.date ?? latestDay(point.clock, now), point.clock);
  const precise = point.clock.seconds !== undefined;
  const time: SearchTime = precise ? { at: first } : untilNow(first, first + minute, now);
  if (skipped) return { time, clockChange: { kind: "skipped", shown: first } };
  if (first === last || last > now) return { time };
  const precision = precise ? "second" : "minute";
  return { time, clockChange: { kind: "repeated", shown: first, other: last, precision } };
}

/** Returns the window between two times. A time without a day is on the day of the other, or the latest such time. */
function resolveRange(left: Point, right: Point, now: number): Resolved {
  let [start, end] = [left, right];
  if (start.kind === "clock" && end.kind === "clock") start = { ...start, clock: inheritHalf(start.clock, end.clock) };
  if (start.kind === "clock" && !start.date) {
    start = { ...start, date: end.kind === "day" ? end.date : latestDay(start.clock, now) };
    if (end.kind === "clock" && end.date) {
      const later = occurrence(end.date, start.clock).first > occurrence(end.date, end.clock).last;
      start = { ...start, date: later ? addDays(end.date, -1) : end.date };
    }
  }
  if (end.kind === "clock" && !end.date) {
    const from = startOf(start);
    const date = dayAt(from, end.clock.zone);
    end = { ...end, date: occurrence(date, end.clock).last < from ? addDays(date, 1) : date };
  }
  // In "from friday to monday", Monday is the one after Friday.
  if ((end.kind === "day" || end.kind === "clock") && end.weekday && end.date && startOf(end) < startOf(start))
    end = { ...end, date: addDays(end.date, 7) };
  let [from, to] = [startOf(start), endOf(end)];
  if (from > to) [from, to] = [startOf(end), endOf(start)];
  if (from === to) to += minute;
  const time = untilNow(from, to, now);
  for (const point of [start, end]) {
    if (point.kind !== "clock" || !point.date) continue;
    const { first, last, skipped } = occurrence(point.date, point.clock);
    if (skipped) return { time, clockChange: { kind: "skipped", shown: first } };
    if (first !== last) return { time, clockChange: { kind: "covered", shown: first } };
  }
  return { time };
}

/** In "between 3 and 4pm", both are in the afternoon. */
function inheritHalf(start: Clock, end: Clock): Clock {
  if (start.half || !end.half || start.hours > 12) return start;
  const inherited = { ...start, half: end.half };
  const date = new Date(2000, 0, 1);
  return occurrence(date, inherited).first <= occurrence(date, end).first ? inherited : start;
}

function startOf(point: Point): number {
  if (point.kind === "clock") return point.date ? occurrence(point.date, point.clock).first : Number.NaN;
  return point.kind === "day" ? point.date.getTime() : point.at;
}

function endOf(point: Point): number {
  if (point.kind === "clock") return point.date ? occurrence(point.date, point.clock).last : Number.NaN;
  return point.kind === "day" ? addDays(point.date, 1).getTime() : point.at;
}
