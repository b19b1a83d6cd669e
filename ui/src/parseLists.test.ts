import { expect, it } from "vitest";
import { parseNames, parseTags } from "./parseLists";

it("reads tags as people type them", () => {
  expect(parseTags(" web, db  db,rack-7\n")).toEqual(["db", "rack-7", "web"]);
  expect(parseTags("*")).toEqual(["*"]);
  expect(parseTags("  ")).toEqual([]);
});

it("names may hold spaces", () =>
  expect(parseNames(" kworker*, Web Content,kworker*,, ")).toEqual(["kworker*", "Web Content"]));
