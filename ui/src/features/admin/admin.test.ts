import { expect, test, vi } from "vitest";

vi.stubGlobal("window", { location: { origin: "http://snapwatch.test" } });
const { contains, formatDetail } = await import("./AuditTab");
const { enrolCommand } = await import("./EnrolmentTab");

test("the details of an audit log entry are formatted in one line, without empty values", () => {
  const detail = { role: "user", tags: ["web"], machine_id: "", scopes: null, none: [], disabled: false };
  expect(formatDetail(detail)).toBe('role: user, tags: ["web"], disabled: false');
  expect(formatDetail({})).toBe("");
});

test("a search in the audit log is for a part of a value, unless it has a wildcard", () => {
  expect([contains("ali"), contains("machine.*"), contains(undefined)]).toEqual(["*ali*", "machine.*", undefined]);
});

test("the command that adds a machine", () => {
  expect(enrolCommand("swe_x", "https://snapwatch.test")).toBe(
    "SNAPWATCH_ENROLMENT_KEY=swe_x snapwatch-agent --server https://snapwatch.test",
  );
});
