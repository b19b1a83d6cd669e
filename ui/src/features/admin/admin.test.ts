import { expect, it, vi } from "vitest";

vi.stubGlobal("window", { location: { origin: "http://snapwatch.test" } });
const { formatDetail } = await import("./AuditTab");
const { enrolCommand } = await import("./EnrolmentTab");

it("tells an entry's detail in a line, without what is empty", () => {
  expect(formatDetail({ role: "user", tags: ["web"], machine_id: "", scopes: null, none: [], disabled: false })).toBe(
    'role: user, tags: ["web"], disabled: false',
  );
  expect(formatDetail({})).toBe("");
});

it("says what to run on a machine", () => {
  expect(enrolCommand("swe_x", "https://snapwatch.test")).toBe(
    "SNAPWATCH_ENROLMENT_KEY=swe_x snapwatch-agent --server https://snapwatch.test",
  );
});
