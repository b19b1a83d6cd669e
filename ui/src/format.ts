// Formats numbers and times for display. A null or undefined value becomes “–”.
import { zoneSuffix } from "./time/zone";

const binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Formats bytes with a binary unit and about three significant digits: 1.5 KiB. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < binary.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${binary[unit]}`;
}

/** Formats a percentage with one decimal. */
export function percent(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : `${n.toFixed(1)} %`;
}

/** Formats a plain number. */
export function number(n: number | null | undefined, digits = 0): string {
  return n === null || n === undefined ? "–" : n.toFixed(digits);
}

/** Formats an average number of things. A small one keeps its digits, so that it is not shown as none. */
export function average(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  return n > 0 && n < 0.1 ? String(Number(n.toPrecision(2))) : n.toFixed(n < 10 ? 2 : 1);
}

/** Formats a duration in its two largest units: 3 d 4 h. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([n], i) => i === 0 || n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

/** Formats a CPU time of less than a minute with up to three significant digits, but not below a microsecond. */
export function cpuTime(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  const micros = Math.round(ms * 1000);
  const rounded = Number((micros / 1000).toPrecision(3));
  if (rounded < 1000) return `${rounded} ms`;
  return rounded < 60_000 ? `${rounded / 1000} s` : duration(Math.max(ms, 60_000));
}

/** Returns a ÷ b in percent; null if one is unknown. */
export function share(a: number | null | undefined, b: number | null | undefined): number | null {
  return a === null || a === undefined || !b ? null : (100 * a) / b;
}

/** Formats bytes per second. */
export function rate(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : `${bytes(n)}/s`;
}

/** Formats a difference of bytes with its sign. */
export function signedBytes(n: number): string {
  return `${n < 0 ? "−" : "+"}${bytes(Math.abs(n))}`;
}

/** Formats a date and time in the time zone of the user. An ambiguous time has the name of the zone. */
export function dateTime(at: string | number, timeStyle: "short" | "medium" = "medium"): string {
  const date = new Date(at);
  return date.toLocaleString([], { dateStyle: "medium", timeStyle }) + zoneSuffix(date.getTime());
}

/** Formats the time of a date, like dateTime. */
export function timeOfDay(at: string | number): string {
  const date = new Date(at);
  return date.toLocaleTimeString() + zoneSuffix(date.getTime());
}

/** Formats a date and time in UTC. */
export function utc(at: string | number): string {
  return new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");
}
