import { expect, it, vi } from "vitest";

vi.stubGlobal("window", { location: { origin: "http://snapwatch.test" } });
const { detailOf } = await import("./Audit");
const { enrolCommand } = await import("./Enrolment");

it("tells an entry's detail in a line, without what is empty", () => {
  expect(detailOf({ role: "user", tags: ["web"], machine_id: "", scopes: null, none: [], disabled: false })).toBe('role: user, tags: ["web"], disabled: false');
  expect(detailOf({})).toBe("");
});

it("says what to run on a machine", () => {
  expect(enrolCommand("swe_x", "https://snapwatch.test")).toBe("SNAPWATCH_ENROLMENT_KEY=swe_x snapwatch-agent --server https://snapwatch.test");
});
