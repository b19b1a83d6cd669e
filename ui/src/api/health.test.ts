import { expect, test } from "vitest";
import { failuresOf } from "./health";

test("the reasons of a server that is not ready", () => {
  const errors = [
    { field: "database", message: "cannot connect" },
    { field: "disk", message: "full" },
  ];
  expect(failuresOf({ detail: "The server is not ready.", errors })).toEqual([
    "database: cannot connect",
    "disk: full",
  ]);
  expect(failuresOf({ detail: "The server is starting." })).toEqual(["The server is starting."]);
  expect(failuresOf({})).toEqual(["The server is not ready."]);
});
