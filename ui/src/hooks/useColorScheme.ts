import { useSyncExternalStore } from "react";

const darkQuery = () => window.matchMedia("(prefers-color-scheme: dark)");

function subscribe(onChange: () => void): () => void {
  const query = darkQuery();
  query.addEventListener("change", onChange);
  return () => query.removeEventListener("change", onChange);
}

/** Returns the color scheme that the user prefers. */
export function useColorScheme(): "light" | "dark" {
  return useSyncExternalStore(subscribe, () => (darkQuery().matches ? "dark" : "light"));
}
