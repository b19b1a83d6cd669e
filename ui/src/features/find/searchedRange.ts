// The range that was searched.

interface Range {
  from: string;
  to: string;
}

/** By how much the server's clock can be ahead of the page's, in milliseconds. */
const clockDifference = 60_000;
const hour = 3_600_000;

/**
 * Reports whether a requested range was extended to whole hours. The server also ends a range at its present time, which
 * is a little later than the page's: that is no extension.
 */
export function isExtended(requested: Range, searched: Range): boolean {
  const end = Date.parse(searched.to);
  const later = end - Date.parse(requested.to);
  return Date.parse(searched.from) < Date.parse(requested.from) || later > (end % hour === 0 ? 0 : clockDifference);
}
