/** Describes a sparkline in words: its largest value, or that none is known. */
export function sparklineLabel(
  title: string,
  values: readonly (number | null)[],
  format: (value: number) => string,
): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? `${title}: no data` : `${title}: at most ${format(Math.max(...known))}`;
}
