// Helpers that read one value of a page's URL parameters. An invalid value is treated as absent.

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

/** Returns the parameters without those that are undefined. */
export function compact<T extends object>(search: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(search).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
