import { expect, test } from "vitest";
import { contains, formatDetail } from "./AuditTab";
import { enrolCommand } from "./EnrolmentTab";

test("the details of an audit log entry are formatted in one line, without empty values", () => {
  const detail = { role: "user", tags: ["web"], machine_id: "", scopes: null, none: [], disabled: false };
  expect(formatDetail(detail)).toBe('role: user, tags: ["web"], disabled: false');
  expect(formatDetail({})).toBe("");
});

test("a search in the audit log is for a part of a value, unless it has a wildcard", () => {
  expect([contains("ali"), contains("machine.*"), contains(undefined)]).toEqual(["*ali*", "machine.*", undefined]);
});

test("the command that adds a machine", () => {
  expect(enrolCommand("swe_x")).toBe(
    "SNAPWATCH_ENROLMENT_KEY=swe_x snapwatch-agent --server http://snapwatch.test/tools/snapwatch",
  );
});
