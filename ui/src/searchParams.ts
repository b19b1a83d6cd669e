// Helpers that read one value of a page's URL parameters. An invalid value is treated as absent.
//
// The router adds what validateSearch of a route returns to the parameters in the URL. The result must therefore have
// every parameter of the page: undefined replaces an invalid value, an absent key does not.

export function parseText(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) || undefined : undefined;
}

/** Returns the non-empty texts of a repeated parameter; undefined if there is none. */
export function parseTexts(value: unknown): string[] | undefined {
  const list = (Array.isArray(value) ? value : [value]).flatMap((one) => parseText(one) ?? []);
  return list.length > 0 ? list : undefined;
}

export function parsePositive(value: unknown): number | undefined {
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? value : undefined;
}

/** Returns the value if it is one of the options. */
export function parseOption<T>(value: unknown, options: readonly T[]): T | undefined {
  return options.find((option) => option === value);
}

export const parseFlag = (value: unknown): true | undefined => (value === true ? true : undefined);
