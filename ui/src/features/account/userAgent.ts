const browsers: [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/Firefox\//, "Firefox"],
  [/Chrome\//, "Chrome"],
  [/Safari\//, "Safari"],
];

const systems: [RegExp, string][] = [
  [/Windows/, "Windows"],
  [/Android/, "Android"],
  [/iPhone|iPad/, "iOS"],
  [/Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];

const nameOf = (names: [RegExp, string][], userAgent: string) =>
  names.find(([pattern]) => pattern.test(userAgent))?.[1];

/** Returns a short name for a User-Agent header: Firefox on Linux. */
export function describeUserAgent(userAgent: string): string {
  const [product = ""] = userAgent.split(/[ /]/);
  const browser = nameOf(browsers, userAgent) ?? (product === "" ? "Unknown" : product);
  const system = nameOf(systems, userAgent);
  return system ? `${browser} on ${system}` : browser;
}
