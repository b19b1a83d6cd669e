/** Reads tags as people type them: separated by commas or spaces, each once, in order. */
export function parseTags(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))].sort();
}
