// Files that the page makes of what it shows.

/** Offers a file for download. */
export function download(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A name that every system takes for a file. */
export const fileName = (...parts: string[]): string => parts.join("-").replace(/[^\w.-]+/g, "_");

type Cell = string | number | null | undefined;

/** CSV (RFC 4180). A text that a spreadsheet would take for a formula is kept from being one. */
export function csv(header: string[], rows: Cell[][]): Blob {
  const cell = (value: Cell) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return new Blob([[header, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("")], { type: "text/csv" });
}

export const json = (value: unknown): Blob => new Blob([JSON.stringify(value, null, 1)], { type: "application/json" });
