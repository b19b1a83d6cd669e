/** The parts of the administration, as they stand in the URL. */
export const adminTabs = ["users", "enrolment", "tokens", "storage", "audit"] as const;
export type AdminTab = (typeof adminTabs)[number];
