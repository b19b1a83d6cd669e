import { expect, it } from "vitest";
import { parseTags } from "./tags";

it("reads tags as people type them", () => {
  expect(parseTags(" web, db  db,rack-7\n")).toEqual(["db", "rack-7", "web"]);
  expect(parseTags("*")).toEqual(["*"]);
  expect(parseTags("  ")).toEqual([]);
});
