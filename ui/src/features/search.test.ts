import { describe, expect, test } from "vitest";
import { signInSearch } from "./account/search";
import { diffSearch } from "./diff/search";
import { findSearch, nameSearch } from "./find/search";
import { fleetSearch } from "./fleet/search";
import { machineSearch } from "./machine/search";
import { processSearch } from "./process/search";

describe("the sign-in page", () => {
  test("continues only to a local path", () => {
    expect(signInSearch({ then: "/machines/m?sort=cpu" })).toEqual({ then: "/machines/m?sort=cpu" });
    for (const invalid of [
      "//evil.example",
      "https://evil.example",
      "/\\evil.example",
      "javascript:alert(1)",
      "machines",
      "",
      5,
    ]) {
      expect(signInSearch({ then: invalid })).toEqual({});
    }
  });
  test("accepts an error code of the identity provider, but no markup", () => {
    expect(signInSearch({ failed: "no_role" })).toEqual({ failed: "no_role" });
    expect(signInSearch({ failed: "<script>" })).toEqual({});
  });
});

describe("the machine page", () => {
  test("keeps its whole state in the URL", () => {
    const state = {
      sort: "cpu",
      desc: true,
      filter: "nginx",
      user: "www",
      cpu: 5,
      mem: 100,
      include: ["a"],
      exclude: ["b", "c"],
      flat: true,
      at: "2026-11-23T03:12:00.000Z",
      span: "1d",
    };
    expect(machineSearch(state)).toEqual(state);
  });
  test("ignores invalid values", () => {
    const invalid = {
      sort: "beauty",
      desc: "yes",
      filter: "",
      user: {},
      cpu: -5,
      mem: "x",
      include: [{}],
      exclude: [],
      flat: 1,
      at: "noon",
      span: "9y",
      from: "x",
    };
    expect(machineSearch(invalid)).toEqual({});
  });
  test("accepts a pid as filter text, a single name as a list, and milliseconds as an instant", () => {
    expect(machineSearch({ filter: 4711, exclude: "kworker", at: 1000 })).toEqual({
      filter: "4711",
      exclude: ["kworker"],
      at: "1970-01-01T00:00:01.000Z",
    });
  });
});

test("the list of machines", () => {
  const state = { q: "web", tag: ["eu"], status: "silent", sort: "cpu", desc: true };
  expect(fleetSearch(state)).toEqual(state);
  expect(fleetSearch({ q: "", tag: [], status: "dead", sort: "beauty", desc: 1 })).toEqual({});
});

test("a comparison sorts its two instants, and defaults to the last ten minutes", () => {
  expect(diffSearch({ from: 2000, to: 1000, by: "threads" })).toEqual({
    from: "1970-01-01T00:00:01.000Z",
    to: "1970-01-01T00:00:02.000Z",
    by: "threads",
  });
  const { from, to } = diffSearch({});
  expect(Date.parse(to) - Date.parse(from)).toBe(600_000);
});

test("the pages of a process, of a process name, and of a search", () => {
  const process = { started: "1970-01-01T00:00:00.000Z", span: "3h" };
  expect(processSearch({ started: 0, at: "x", span: "3h" })).toEqual(process);
  expect([nameSearch({ span: "1h" }), nameSearch({ span: "1w" }), nameSearch({})]).toEqual([
    { span: "1h" },
    { span: "1w" },
    {},
  ]);
  expect(findSearch({ q: 443 })).toEqual({ q: "443" });
});
