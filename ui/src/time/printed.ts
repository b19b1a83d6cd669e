// Parses dates and times as pages print them, in the format of the user's locale, and as they are written in English.

/** A date, a time of day, or both, as it is written. */
export interface PrintedTime {
  /** The month is from 0. Without a year, it is the latest such day. */
  date?: { year: number | undefined; month: number; day: number };
  clock?: { hours: number; minutes: number; seconds: number | undefined };
}

const short = { dateStyle: "medium", timeStyle: "short" } as const;
const medium = { dateStyle: "medium", timeStyle: "medium" } as const;
const numeric = { year: "numeric", month: "numeric", day: "numeric" } as const;

/** What pages print: format.ts, the labels of charts, and inputs of dates. */
const printed: Intl.DateTimeFormatOptions[] = [
  medium,
  short,
  { dateStyle: "medium" },
  { timeStyle: "medium" },
  { timeStyle: "short" },
  { day: "numeric", month: "short" },
  { ...numeric, hour: "2-digit", minute: "2-digit", second: "2-digit" },
  { ...numeric, hour: "2-digit", minute: "2-digit" },
];

/** What is understood in every locale. */
const english: Intl.DateTimeFormatOptions[] = [
  medium,
  short,
  { dateStyle: "medium" },
  { dateStyle: "long", timeStyle: "medium" },
  { dateStyle: "long", timeStyle: "short" },
  { dateStyle: "long" },
  { day: "numeric", month: "short" },
];

type Locale = string | undefined;
type Part = Intl.DateTimeFormatPartTypes;

interface Format {
  pattern: RegExp;
  /** The part of each group. */
  groups: Part[];
  /** Month by name, in lower case. */
  months: Map<string, number>;
  /** Hour of the day by hour and name of the half of the day, as they are written. */
  hours: Map<string, number>;
}

const normalize = (text: string) => text.toLowerCase().replace(/\s+/g, " ");
const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");

/** Returns the pattern of the text between two parts. Commas, dots and spaces can be missing between words. */
function literal(text: string): string {
  if (/^,?\s?(at)?\s?$/.test(text)) return "(?:,? at |, ?| )";
  return Array.from(normalize(text))
    .map((char) => (char === " " || char === "," ? `${char}?` : escape(char)))
    .join("");
}

const hourKey = (hour: string | number, period: string | undefined) => `${Number(hour)} ${period ?? ""}`;

function build(locale: Locale, options: Intl.DateTimeFormatOptions): Format {
  const format = new Intl.DateTimeFormat(locale, {
    calendar: "gregory",
    numberingSystem: "latn",
    timeZone: "UTC",
    ...options,
  });
  const partsAt = (...[month, hour]: [number, number]) =>
    format.formatToParts(Date.UTC(2026, month, 22, hour, 44, 55)).map((part) => ({
      ...part,
      value: normalize(part.value),
    }));
  const valueOf = (parts: Intl.DateTimeFormatPart[], type: Part) => parts.find((part) => part.type === type)?.value;
  const months = new Map<string, number>();
  const hours = new Map<string, number>();
  const periods = new Set<string>();
  for (let month = 0; month < 12; month++)
    months.set((valueOf(partsAt(month, 0), "month") ?? "").replace(/\.$/, ""), month);
  for (let hour = 0; hour < 24; hour++) {
    const parts = partsAt(0, hour);
    const period = valueOf(parts, "dayPeriod");
    hours.set(hourKey(valueOf(parts, "hour") ?? 0, period), hour);
    if (period) periods.add(period);
  }
  const names = (list: Iterable<string>) => [...list].map(escape).join("|");
  const groups: Part[] = [];
  const sample = partsAt(10, 13);
  const source = sample.map(({ type, value }, i) => {
    if (type === "literal") {
      const isBesidePeriod = [sample[i - 1], sample[i + 1]].some((part) => part?.type === "dayPeriod");
      return isBesidePeriod && value.trim() === "" ? " ?" : literal(value);
    }
    groups.push(type);
    if (type === "year") return "(\\d{4})";
    if (type === "dayPeriod") return `(${names(periods)})`;
    if (type === "month" && !/^\d+$/.test(value)) return `(${names(months.keys())})\\.?`;
    return type === "day" || type === "month" || type === "hour" ? "(\\d{1,2})" : "(\\d{2})";
  });
  return { pattern: new RegExp(`^${source.join("")}$`), groups, months, hours };
}

/** Reports whether a format without a year looks like a time: some locales print 10.31, which can be a version. */
const isDistinct = (locale: Locale, options: Intl.DateTimeFormatOptions): boolean =>
  options.year !== undefined ||
  options.dateStyle !== undefined ||
  options.timeStyle === "medium" ||
  /[:\p{L}]/u.test(new Intl.DateTimeFormat(locale, options).format());

interface LocaleFormats {
  /** The formats of the locale, and those in English. */
  formats: Format[];
  /** Digits from 0 to 9 by those of the locale. */
  digits: Map<string, string>;
}

const cache = new Map<Locale, LocaleFormats>();

function formatsOf(locale: Locale): LocaleFormats {
  const known = cache.get(locale);
  if (known) return known;
  const digits = Array.from(new Intl.NumberFormat(locale, { useGrouping: false }).format(9_876_543_210));
  const built = {
    formats: [
      ...printed.filter((options) => isDistinct(locale, options)).map((options) => build(locale, options)),
      ...["en-GB", "en-US"].flatMap((name) => english.map((options) => build(name, options))),
    ],
    digits: new Map(digits.map((digit, i) => [digit, String(9 - i)])),
  };
  cache.set(locale, built);
  return built;
}

/** Parses a date, a time of day, or both. Returns undefined for another text. The default is the user's locale. */
export function parsePrinted(text: string, locale?: string): PrintedTime | undefined {
  const { formats, digits } = formatsOf(locale);
  const normalized = normalize(Array.from(text, (char) => digits.get(char) ?? char).join(""));
  for (const { pattern, groups, months, hours } of formats) {
    const found = pattern.exec(normalized);
    if (!found) continue;
    const valueOf = (part: Part) => {
      const i = groups.indexOf(part);
      return i < 0 ? undefined : found[i + 1];
    };
    const [year, month, day, hour] = (["year", "month", "day", "hour"] as const).map(valueOf);
    const hourOfDay = hour === undefined ? undefined : hours.get(hourKey(hour, valueOf("dayPeriod")));
    const [minutes, seconds] = [Number(valueOf("minute") ?? 0), valueOf("second")];
    if ((hour !== undefined && hourOfDay === undefined) || minutes > 59 || Number(seconds ?? 0) > 59) continue;
    const monthOfYear = month === undefined ? 0 : (months.get(month) ?? Number(month) - 1);
    return {
      ...(day !== undefined && {
        date: { year: year === undefined ? undefined : Number(year), month: monthOfYear, day: Number(day) },
      }),
      ...(hourOfDay !== undefined && {
        clock: { hours: hourOfDay, minutes, seconds: seconds === undefined ? undefined : Number(seconds) },
      }),
    };
  }
  return undefined;
}
