/**
 * Returns a function that reports whether a text contains another one. It ignores case by Unicode's simple case
 * folding, like searches of the server: σ and ς match Σ.
 */
export function textMatch(wanted: string): (text: string) => boolean {
  const pattern = new RegExp(wanted.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "iu");
  return (text) => pattern.test(text);
}
