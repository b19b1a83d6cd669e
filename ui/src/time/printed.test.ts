import { expect, test } from "vitest";
import { parsePrinted } from "./printed";

// Single and double digits, both halves of the day, midnight and noon.
const instants = [
  [0, 1, 0, 0, 5],
  [2, 9, 12, 5, 0],
  [8, 30, 2, 31, 59],
  [9, 25, 13, 31, 7],
  [11, 31, 23, 59, 59],
] as const;
const locales = [undefined, "en-GB", "en-US", "de", "fr", "sv", "fi", "ru", "ja", "ko", "zh-CN", "ar-EG"];

test.each(locales)("what pages print in the locale %s", (locale) => {
  for (const [month, day, hours, minutes, seconds] of instants) {
    const at = new Date(2026, month, day, hours, minutes, seconds);
    const print = (options: Intl.DateTimeFormatOptions) => at.toLocaleString(locale, options);
    const date = { year: 2026, month, day };
    const clock = { hours, minutes, seconds };
    const minute = { ...clock, seconds: undefined };
    for (const [options, want] of [
      [
        { dateStyle: "medium", timeStyle: "medium" },
        { date, clock },
      ],
      [
        { dateStyle: "medium", timeStyle: "short" },
        { date, clock: minute },
      ],
      [{ dateStyle: "medium" }, { date }],
      [{ timeStyle: "medium" }, { clock }],
    ] as [Intl.DateTimeFormatOptions, object][])
      expect(parsePrinted(print(options), locale), print(options)).toEqual(want);
  }
});

test.each(["en-GB", "de", "fr", "ja"])("the labels of charts in the locale %s", (locale) => {
  const at = new Date(2026, 9, 5, 14, 31);
  const label = (options: Intl.DateTimeFormatOptions) => at.toLocaleString(locale, options);
  expect(parsePrinted(label({ hour: "2-digit", minute: "2-digit" }), locale)).toEqual({
    clock: { hours: 14, minutes: 31, seconds: undefined },
  });
  expect(parsePrinted(label({ day: "numeric", month: "short" }), locale)).toEqual({
    date: { year: undefined, month: 9, day: 5 },
  });
});

test.each([
  ["25 Oct 2026 2:31", 2],
  ["25 oct 2026, 02:31", 2],
  ["25 October 2026 14:31", 14],
  ["25 October 2026 at 14:31", 14],
  ["Oct 25, 2026, 2:31 PM", 14],
  ["oct 25 2026 12:31 am", 0],
])("English in every locale: %s", (text, hours) =>
  expect(parsePrinted(text, "de")).toEqual({
    date: { year: 2026, month: 9, day: 25 },
    clock: { hours, minutes: 31, seconds: undefined },
  }),
);

test.each([
  ["python 3.11", undefined],
  ["3.11", "fi"],
  ["1-25", "lt"],
  ["25 Foo 2026", undefined],
  ["25 Oct 2026 24:61", undefined],
  ["13:31 PM", "en-US"],
  ["", undefined],
])("%s is no time", (text, locale) => expect(parsePrinted(text, locale)).toBeUndefined());
