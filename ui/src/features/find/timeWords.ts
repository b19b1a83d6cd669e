// Finds words of a search that look like a time.
import { monthPattern, weekdayPattern } from "../../time/english";

const unit = "(?:sec(?:ond)?|min(?:ute)?|hr|hour|day|week|month|year)s?";

const timeWords = new RegExp(
  `(?<=^|\\s)(?:${[
    "today|yesterday|tomorrow|tonight|\\d+(?:\\.\\d+)? ?[a-z]+ ago|ago|o'?clock|half past|quarter (?:past|to)",
    `(?:last|past|previous|next|this) (?:night|morning|afternoon|evening|(?:\\d+ ?|few |couple of )?${unit})`,
    `\\d+(?:\\.\\d+)? ?${unit}`,
    "\\d{1,2}:\\d{2}(?::\\d{2}(?:\\.\\d+)?)?(?: ?[ap]m)?",
    "\\d{1,2} ?[ap]m",
    "\\d{4}-\\d{2}-\\d{2}(?:t\\d{2}:\\S*)?",
    "\\d{1,2}\\.\\d{1,2}\\.\\d{4}",
    "\\d{1,2}/\\d{1,2}(?:/\\d{2,4})?",
    `\\d{1,2}(?:st|nd|rd|th)?[ /-]${monthPattern}`,
    `${monthPattern} \\d{1,2}(?:st|nd|rd|th)?`,
    weekdayPattern,
  ].join("|")})[,.]?(?=\\s|$)`,
  "i",
);

const linkingWord =
  /(?<=^|\s)(?:at|on|around|about|since|after|before|until|till|from|to|between|and|by|in|during|next|this|every)$/i;

/**
 * Returns the first words of a text that look like a time; undefined if there are none. Before a time, the last word can
 * also be one that belongs to the time, such as "before".
 */
export function findTimeWords(text: string, isBeforeTime: boolean): string | undefined {
  const spaced = text.replace(/\s+/g, " ");
  return timeWords.exec(spaced)?.[0] ?? (isBeforeTime ? linkingWord.exec(spaced)?.[0] : undefined);
}
