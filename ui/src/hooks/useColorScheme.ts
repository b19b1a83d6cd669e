import { useSyncExternalStore } from "react";

const dark = () => window.matchMedia("(prefers-color-scheme: dark)");

function subscribe(changed: () => void): () => void {
  const query = dark();
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}

/** Whether the viewer prefers light or dark. */
export function useColorScheme(): "light" | "dark" {
  return useSyncExternalStore(subscribe, () => (dark().matches ? "dark" : "light"));
}
