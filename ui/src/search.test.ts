import { describe, expect, test } from "vitest";
import { diffSearch, findSearch, fleetSearch, loginSearch, machineSearch, nameSearch, processSearch } from "./search";

describe("where to go after log-in", () => {
  test("is a page of ours", () => {
    expect(loginSearch({ then: "/machines/m?sort=cpu" })).toEqual({ then: "/machines/m?sort=cpu" });
    for (const elsewhere of ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "machines", "", 5]) {
      expect(loginSearch({ then: elsewhere })).toEqual({});
    }
  });
  test("says why the identity provider refused, in a word", () => {
    expect(loginSearch({ failed: "no_role" })).toEqual({ failed: "no_role" });
    expect(loginSearch({ failed: "<script>" })).toEqual({});
  });
});

describe("a machine's address", () => {
  test("holds the whole state of its page", () => {
    const state = { sort: "cpu", desc: true, filter: "nginx", user: "www", cpu: 5, mem: 100, include: ["a"], exclude: ["b", "c"], flat: true, at: "2026-11-23T03:12:00.000Z", span: "1d" };
    expect(machineSearch(state)).toEqual(state);
  });
  test("drops what makes no sense", () => {
    expect(machineSearch({ sort: "beauty", desc: "yes", filter: "", user: {}, cpu: -5, mem: "x", include: [{}], exclude: [], flat: 1, at: "noon", span: "9y", from: "x" })).toEqual({});
  });
  test("takes a pid as text to look for, one name as a list, and milliseconds", () => {
    expect(machineSearch({ filter: 4711, exclude: "kworker", at: 1000 })).toEqual({ filter: "4711", exclude: ["kworker"], at: "1970-01-01T00:00:01.000Z" });
  });
});

test("the fleet's", () => {
  const state = { q: "web", tag: ["eu"], status: "silent", sort: "cpu", desc: true };
  expect(fleetSearch(state)).toEqual(state);
  expect(fleetSearch({ q: "", tag: [], status: "dead", sort: "beauty", desc: 1 })).toEqual({});
});

test("two instants come in order, and are the last ten minutes by default", () => {
  expect(diffSearch({ from: 2000, to: 1000, by: "threads" })).toEqual({ from: "1970-01-01T00:00:01.000Z", to: "1970-01-01T00:00:02.000Z", by: "threads" });
  const { from, to } = diffSearch({});
  expect(Date.parse(to) - Date.parse(from)).toBe(600_000);
});

test("a process's, a name's, and what is looked for", () => {
  expect(processSearch({ started: 0, at: "x", span: "3h" })).toEqual({ started: "1970-01-01T00:00:00.000Z", span: "3h" });
  expect([nameSearch({ span: "1h" }), nameSearch({ span: "1w" }), nameSearch({})]).toEqual([{ span: "1h" }, { span: "1w" }, {}]);
  expect(findSearch({ q: 443 })).toEqual({ q: "443" });
});
