/** A common start that is not longer is not left out. */
const shortStart = 24;

/**
 * Returns two texts without most of their common start, so that the difference is visible where there is little room.
 * They begin with the word that differs and the one before it.
 */
export function excerpts(before: string, after: string): [string, string] {
  let common = 0;
  while (common < before.length && before[common] === after[common]) common++;
  const word = before.lastIndexOf(" ", common - 1);
  const start = word > 0 ? before.lastIndexOf(" ", word - 1) + 1 : 0;
  const cut = (text: string) => (start > shortStart ? `… ${text.slice(start)}` : text);
  return [cut(before), cut(after)];
}
