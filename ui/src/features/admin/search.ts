import { parseOption, parseText } from "../../searchParams";
import { parseInstant } from "../../time/range";

/** The tabs of the administration page, as they are named in the URL. */
export const adminTabs = ["users", "enrolment", "tokens", "storage", "audit"] as const;
export type AdminTab = (typeof adminTabs)[number];

/** The filters of the audit log. The times are in RFC 3339 format. */
export interface AuditSearch {
  actor?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

export interface AdminSearch extends AuditSearch {
  tab?: AdminTab | undefined;
}

export function adminSearch(search: Record<string, unknown>): AdminSearch {
  return {
    tab: parseOption(search.tab, adminTabs),
    actor: parseText(search.actor),
    action: parseText(search.action),
    target: parseText(search.target),
    from: parseInstant(search.from),
    to: parseInstant(search.to),
  };
}
