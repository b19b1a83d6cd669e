/** Splits tags at commas and spaces. Returns each once, sorted. */
export function parseTags(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))].sort();
}

/** Splits process names, which can contain spaces, at commas. Returns each once, in the given order. */
export function parseNames(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  return [...new Set(names.filter(Boolean))];
}
