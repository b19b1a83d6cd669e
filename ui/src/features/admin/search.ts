import { parseOption } from "../../searchParams";

/** The tabs of the administration page, as they are named in the URL. */
export const adminTabs = ["users", "enrolment", "tokens", "storage", "audit"] as const;
export type AdminTab = (typeof adminTabs)[number];

export function adminSearch(search: Record<string, unknown>): { tab?: AdminTab } {
  const tab = parseOption(search.tab, adminTabs);
  return tab ? { tab } : {};
}
