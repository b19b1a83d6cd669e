// Downloads and clipboard.

/** Offers a file for download. */
export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Joins the parts to a file name that is valid on every system. */
export const fileName = (...parts: string[]): string => parts.join("-").replace(/[^\w.-]+/g, "_");

type Cell = string | number | null | undefined;

/** Returns a CSV file (RFC 4180). Texts that a spreadsheet would read as a formula start with a quote. */
export function csv(header: string[], rows: Cell[][]): Blob {
  const cell = (value: Cell) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [header, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`);
  return new Blob([lines.join("")], { type: "text/csv" });
}

export const json = (value: unknown): Blob => new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });

/** Returns the clipboard, which browsers provide only on HTTPS and on localhost. */
const clipboard = () => navigator.clipboard as Clipboard | undefined;

export const canCopy = (): boolean => clipboard() !== undefined;

/** Copies a text to the clipboard. Returns false if there is no clipboard. */
export async function copyText(text: string): Promise<boolean> {
  await clipboard()?.writeText(text);
  return canCopy();
}
