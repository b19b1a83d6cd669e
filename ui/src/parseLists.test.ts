import { expect, test } from "vitest";
import { parseNames, parseTags } from "./parseLists";

test("tags are separated by commas or spaces, unique and sorted", () => {
  expect(parseTags(" web, db  db,rack-7\n")).toEqual(["db", "rack-7", "web"]);
  expect(parseTags("*")).toEqual(["*"]);
  expect(parseTags("  ")).toEqual([]);
});

test("process names can contain spaces", () => {
  expect(parseNames(" kworker*, Web Content,kworker*,, ")).toEqual(["kworker*", "Web Content"]);
});
