/** Reads tags as people type them: separated by commas or spaces, each once, in order. */
export function parseTags(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))].sort();
}

/** Reads names of processes, which may hold spaces: separated by commas, each once, as they were given. */
export function parseNames(text: string): string[] {
  return [
    ...new Set(
      text
        .split(",")
        .map((name) => name.trim())
        .filter(Boolean),
    ),
  ];
}
