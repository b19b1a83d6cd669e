import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("window", { location: { origin: "http://snapwatch.test" } });
const { ApiError, fieldError } = await import("./client");

describe("faultOf", () => {
  const error = new ApiError(422, {
    detail: "password must have at least 12 characters.",
    field: "password",
    errors: [{ field: "password", message: "must have at least 12 characters" }],
  });
  it("returns the message about the field, and undefined for other fields and errors", () => {
    expect(fieldError(error, "password")).toBe("This must have at least 12 characters.");
    expect(fieldError(error, "name")).toBeUndefined();
    expect(fieldError(new Error("no answer"), "password")).toBeUndefined();
    expect(fieldError(null, "password")).toBeUndefined();
  });
});
