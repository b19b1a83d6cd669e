import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("window", { location: { origin: "http://snapwatch.test" } });
vi.stubGlobal("self", globalThis);
const { loginSearch } = await import("./router");

describe("where to go after log-in", () => {
  it("is a page of ours", () => {
    expect(loginSearch({ then: "/machines/m?sort=cpu" })).toEqual({ then: "/machines/m?sort=cpu" });
    for (const elsewhere of ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "machines", "", 5]) {
      expect(loginSearch({ then: elsewhere })).toEqual({});
    }
  });
  it("says why the identity provider refused, in a word", () => {
    expect(loginSearch({ failed: "no_role" })).toEqual({ failed: "no_role" });
    expect(loginSearch({ failed: "<script>" })).toEqual({});
  });
});
