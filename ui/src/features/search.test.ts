import { describe, expect, test } from "vitest";
import { signInSearch } from "./account/search";
import { adminSearch } from "./admin/search";
import { diffSearch } from "./diff/search";
import { findSearch, nameSearch } from "./find/search";
import { fleetSearch } from "./fleet/search";
import { machineSearch } from "./machine/search";
import { processSearch } from "./process/search";

/** Returns what a page reads: the router keeps the parameters of the URL that the page's function does not return. */
const inRouter =
  <Result>(validate: (search: Record<string, unknown>) => Result) =>
  (search: Record<string, unknown>) => ({ ...search, ...validate(search) });
const [signIn, machine, fleet] = [inRouter(signInSearch), inRouter(machineSearch), inRouter(fleetSearch)];
const [process, name, find, diff] = [
  inRouter(processSearch),
  inRouter(nameSearch),
  inRouter(findSearch),
  inRouter(diffSearch),
];
const admin = inRouter(adminSearch);

describe("the sign-in page", () => {
  test("continues only to a local path", () => {
    expect(signIn({ then: "/machines/m?sort=cpu" })).toEqual({ then: "/machines/m?sort=cpu" });
    for (const invalid of [
      "//evil.example",
      "https://evil.example",
      "/\\evil.example",
      "javascript:alert(1)",
      "machines",
      "",
      5,
    ]) {
      expect(signIn({ then: invalid })).toEqual({});
    }
  });
  test("accepts an error code of the identity provider, but no markup", () => {
    expect(signIn({ failed: "no_role" })).toEqual({ failed: "no_role" });
    expect(signIn({ failed: "<script>" })).toEqual({});
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
    expect(machine(state)).toEqual(state);
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
    expect(machine(invalid)).toEqual({});
  });
  test("accepts a pid as filter text, a single name as a list, and milliseconds as an instant", () => {
    expect(machine({ filter: 4711, exclude: "kworker", at: 1000 })).toEqual({
      filter: "4711",
      exclude: ["kworker"],
      at: "1970-01-01T00:00:01.000Z",
    });
  });
});

test("the list of machines", () => {
  const state = { q: "web", tag: ["eu"], status: "silent", sort: "cpu", desc: true };
  expect(fleet(state)).toEqual(state);
  expect(fleet({ q: "", tag: [], status: "dead", sort: "beauty", desc: 1 })).toEqual({});
});

test("a comparison sorts its two instants, and defaults to the last ten minutes", () => {
  expect(diff({ from: 2000, to: 1000, by: "threads" })).toEqual({
    from: "1970-01-01T00:00:01.000Z",
    to: "1970-01-01T00:00:02.000Z",
    by: "threads",
  });
  const { from, to } = diff({});
  expect(Date.parse(to) - Date.parse(from)).toBe(600_000);
});

test("the pages of a process, of a process name, and of a search", () => {
  const history = { started: "1970-01-01T00:00:00.000Z", span: "3h" };
  expect(process({ started: 0, at: "x", span: "3h" })).toEqual(history);
  expect([name({ span: "1h" }), name({ span: "1w" }), name({})]).toEqual([{ span: "1h" }, { span: "1w" }, {}]);
  expect(find({ q: 443 })).toEqual({ q: "443" });
  expect(find({ q: "sh", exit: "signal:KILL" })).toEqual({ q: "sh", exit: "signal:9" });
  expect(find({ exit: "code:300" })).toEqual({});
});

test("no page reads an invalid value of the URL", () => {
  const invalid = { span: "30d", from: "noon", to: "x", at: {}, started: "x", q: {}, tab: "x", actor: {}, action: [] };
  for (const page of [machine, process, name, find, admin]) {
    const known = Object.entries(page(invalid)).filter(([key]) => key in page({}));
    expect(known.filter(([, value]) => value !== undefined)).toEqual([]);
  }
  for (const page of [machine, process, name]) expect(page({ span: "12h" })).toEqual({});
  expect(name({ span: "1h", from: "noon", to: "x" })).toEqual({ span: "1h" });
  expect(diff({ from: 1000, to: 2000, by: "beauty" }).by).toBeUndefined();
});
